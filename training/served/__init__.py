"""Models as they are served: one module a model, numbers and booster text only."""
