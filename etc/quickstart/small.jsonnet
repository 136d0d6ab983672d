// The smallest run that trains and evaluates something: a few seconds, for trying out what you add. Its numbers mean nothing.
local sweep = import 'quickstart.jsonnet';

sweep.configs['shots=8 seed=13'] {
  dataset+: { shots: 4, max_n_test: 30 },
  training+: { trainer_args+: { num_train_epochs: 1 } },
}
