// One experiment of the embedded sweep, for a learning curve over it:
// sft curve etc/quickstart/curve.jsonnet --shots 0,4,16 --seeds 3
local sweep = import 'quickstart.jsonnet';

sweep.configs['shots=8 seed=13']
