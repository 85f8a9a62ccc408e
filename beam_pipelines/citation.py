"""The papers whose method this project implements, for the cards of its models and datasets."""

from __future__ import annotations

# Also in tfds_sero/sero_spikes/CITATIONS.bib, where TFDS looks for it.
BIBTEX = """\
@article{corradetti2024deep,
  title   = {Deep learning models for atypical serotonergic cells recognition},
  author  = {Corradetti, Daniele and Bernardi, Alessandro and Corradetti, Renato},
  journal = {Journal of Neuroscience Methods},
  year    = {2024},
  pages   = {110158},
  doi     = {10.1016/j.jneumeth.2024.110158},
  note    = {arXiv:2405.05516},
}
@misc{corradetti2024synthetic,
  title  = {Synthetic Data for Robust Identification of Typical and Atypical Serotonergic Neurons using Convolutional
            Neural Networks},
  author = {Corradetti, Daniele and Bernardi, Alessandro and Corradetti, Renato},
  year   = {2024},
  note   = {arXiv:2407.05701},
}
"""
