// Which LoRA initialisation, with 32 and with 128 labelled rows? Every one with several learning rates, since each has
// its own best one, chosen by cross-validation on the shots and never by the test rows. On another model or data set:
//   -o model.name=path/to/model -o dataset.path=path/to/data -o prompting.output_column=label
local initialisations = {
  default: true,
  pca: 'pca',
  pissa: 'pissa',
  milora: 'milora',
  eva: 'eva',
  'lora-ga': 'lora_ga',
};

local experiment(initialisation, learning_rate, shots, seed) = {
  dataset: {
    path: 'SetFit/sst2',
    task_type: 'classification',
    shots: shots,
    max_n_test: 2000,
    labels: { negative: ' terrible', positive: ' great' },
  },
  model: { name: 'Qwen/Qwen2.5-0.5B' },
  prompting: {
    input_columns: ['text'],
    output_column: 'label_text',
    format: 'plain',
    template: 'Review: {text}\nIt was',
  },
  // alpha = r, so that the scaling is 1 and factors act as the papers write them
  lora: {
    r: 16,
    lora_alpha: 16,
    target_modules: 'all-linear',
    init_lora_weights: initialisations[initialisation],
  },
  training: {
    trainer_args: {
      num_train_epochs: if shots < 64 then 8 else 4,
      learning_rate: learning_rate,
      per_device_train_batch_size: 8,
      lr_scheduler_type: 'linear',
      warmup_steps: 0.1,
    },
  },
  // the shots are scored by adapters that haven't seen them: what the learning rate is chosen by
  inference: { score_shots: true, folds: 2 },
  seed: seed,
};

{
  configs: {
    ['%s lr=%g shots=%d seed=%d' % [initialisation, learning_rate, shots, seed]]:
      experiment(initialisation, learning_rate, shots, seed)
    for initialisation in std.objectFields(initialisations)
    for learning_rate in [3e-4, 1e-3, 3e-3]
    for shots in [16, 64]
    for seed in [13, 14, 15]
  },
}
