// The embedded sweep: how much do 0, 8 and 32 labelled messages per class help a very small model?
// `make quickstart` runs it offline. Two seeds keep it short; five or more are what a claim needs.
local config(shots, seed) = {
  dataset: {
    path: 'etc/quickstart/data',
    task_type: 'classification',
    shots: shots,
    // data-set value → what the model reads and scores after "It was"
    labels: { negative: ' terrible', neutral: ' ordinary', positive: ' wonderful' },
  },
  model: { name: 'etc/quickstart/model' },
  prompting: {
    input_columns: ['text'],
    output_column: 'label',
    format: 'plain',
    template: 'Message: {text}\nIt was',
  },
  lora: { r: 16, lora_alpha: 32, target_modules: 'all-linear' },
  training: {
    trainer_args: { num_train_epochs: 12, learning_rate: 1e-3, per_device_train_batch_size: 8 },
  },
  inference: {},
  seed: seed,
};

{
  configs: {
    ['shots=%d seed=%d' % [shots, seed]]: config(shots, seed)
    for shots in [0, 8, 32]
    for seed in [13, 14]
  },
}
