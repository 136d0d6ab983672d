// A sweep over shots, seeds and models: how many labels does tweet sentiment need, and does the model's size matter?
local experiment(model, shots, seed) = {
  dataset: {
    path: 'cardiffnlp/tweet_eval',
    args: { name: 'sentiment' },
    task_type: 'classification',
    shots: shots,
    max_n_test: 2000,
  },
  model: { name: model },
  prompting: {
    instruction: 'Classify the sentiment of the tweet as negative, neutral or positive. Answer with one word.',
    input_columns: ['text'],
    output_column: 'label',
    max_input_length: 128,
  },
  lora: { r: 16, lora_alpha: 2 * self.r, target_modules: 'all-linear' },
  training: {
    trainer_args: {
      num_train_epochs: 10,
      // larger models want smaller steps
      learning_rate: if model == 'Qwen/Qwen2.5-0.5B-Instruct' then 2e-4 else 1e-4,
      per_device_train_batch_size: 8,
    },
  },
  inference: {},
  seed: seed,
};

local name(model, shots, seed) = '%s shots=%d seed=%d' % [std.split(model, '/')[1], shots, seed];

{
  configs: {
    [name(model, shots, seed)]: experiment(model, shots, seed)
    for model in ['Qwen/Qwen2.5-0.5B-Instruct', 'Qwen/Qwen2.5-1.5B-Instruct']
    for shots in [0, 4, 16, 64]
    for seed in [13, 14, 15, 16, 17]
  },
}
