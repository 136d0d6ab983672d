// A sweep for a cluster: what one run occupies is a part of its config, and changes no result and no run id.
local sweep = import 'tweet_sentiment.jsonnet';
local chosen = [name for name in std.objectFields(sweep.configs) if std.length(std.findSubstr('shots=16', name)) > 0];

{
  configs: {
    [name]: sweep.configs[name] { resources: { gpus: 1, cpus: 4, memory_gb: 32 } }
    for name in chosen
  },
}
