"""neuroprompt: spiking prompts for frozen vision backbones, trained, baked, deployed and checked spike by spike."""
