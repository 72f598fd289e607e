"""Builds `demo`, the tiny chat model that is bundled with mlxk: data, tokenizer, training, evaluation, card."""
