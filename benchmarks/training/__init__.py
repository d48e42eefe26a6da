"""What training costs: time to the optimum, a pass over many classes, a language model's step."""
