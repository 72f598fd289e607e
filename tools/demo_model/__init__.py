"""Builds `demo`, the tiny chat model bundled with mlxk: data, tokenizer, training, evaluation, card."""
