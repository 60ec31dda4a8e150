"""The trainer: what runs in an AdapterTraining's Job."""
