"""Tiny real models with an image tower: random weights of every family that mlxk converts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

__all__ = ["VISION_CONFIGS", "build_vision_model"]

_TEXT: Mapping[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 256, "max_position_embeddings": 512,
    "rope_theta": 10000.0, "tie_word_embeddings": False, "head_dim": 16,
}  # fmt: skip
_TOWER: Mapping[str, Any] = {
    "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "patch_size": 14, "image_size": 56, "num_channels": 3,
}  # fmt: skip
_QWEN_TOWER: Mapping[str, Any] = {
    "depth": 2, "hidden_size": 64, "num_heads": 4, "in_channels": 3, "spatial_merge_size": 2,
    "temporal_patch_size": 2, "patch_size": 14,
}  # fmt: skip
_QWEN_TOKENS = {"image_token_id": 250, "video_token_id": 251, "vision_start_token_id": 252}
_MROPE = {"rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}
_LLAMA3_ROPE = {
    "rope_type": "llama3", "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
    "original_max_position_embeddings": 512,
}  # fmt: skip


def _qwen(family: str, **tower: object) -> dict[str, Any]:
    text = {**_TEXT, **_MROPE, "model_type": family}
    return {**text, "text_config": text, "vision_config": {**_QWEN_TOWER, "model_type": family, **tower}} | (
        _QWEN_TOKENS
    )


def _of(family: str, text: Mapping[str, Any], tower: Mapping[str, Any], **more: object) -> dict[str, Any]:
    return {
        "model_type": family, "text_config": {**_TEXT, **text}, "vision_config": {**_TOWER, **tower},
        "vocab_size": 256, "hidden_size": 64, "image_token_index": 250, **more,
    }  # fmt: skip


VISION_CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "gemma3": _of(
        "gemma3",
        {
            "model_type": "gemma3_text", "sliding_window": 32, "sliding_window_pattern": 2,
            "query_pre_attn_scalar": 16,
        },
        {"model_type": "siglip_vision_model", "image_size": 448},
        mm_tokens_per_image=256,
    ),
    "idefics3": _of(
        "idefics3", {"model_type": "llama"}, {"model_type": "idefics3"}, scale_factor=2, image_token_id=250
    ),
    "llava": _of(
        "llava",
        {"model_type": "llama"},
        {"model_type": "clip_vision_model", "projection_dim": 64, "layer_norm_eps": 1e-5},
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    ),
    "mllama": _of(
        "mllama",
        {"model_type": "mllama_text_model", "cross_attention_layers": [1], "rope_scaling": _LLAMA3_ROPE},
        {
            "model_type": "mllama", "attention_heads": 4, "max_num_tiles": 4, "num_global_layers": 1,
            "vision_output_dim": 128, "intermediate_layers_indices": [0], "norm_eps": 1e-6,
            "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
        },
    ),
    "pixtral": _of(
        "pixtral",
        {"model_type": "mistral"},
        {"model_type": "pixtral", "head_dim": 16, "rope_theta": 10000.0},
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    ),
    "qwen2_5_vl": _qwen(
        "qwen2_5_vl", out_hidden_size=64, intermediate_size=128, window_size=56, fullatt_block_indexes=[1]
    ),
    "qwen2_vl": _qwen("qwen2_vl", embed_dim=64, mlp_ratio=2),
    "qwen3_vl": _qwen(
        "qwen3_vl",
        out_hidden_size=64,
        intermediate_size=128,
        patch_size=16,
        num_position_embeddings=16,
        deepstack_visual_indexes=[1],
    )
    | {"vision_end_token_id": 253},
    "smolvlm": _of(
        "smolvlm", {"model_type": "llama"}, {"model_type": "idefics3"}, scale_factor=2, image_token_id=250
    ),
}  # fmt: skip
"""A config per family."""


def build_vision_model(path: Path, family: str) -> Path:
    """A model of a family, with the files that its health needs; its tokenizer is for looking at only."""
    from mlx_vlm.utils import get_model_and_args, update_module_configs

    config = json.loads(json.dumps(VISION_CONFIGS[family]))
    module = get_model_and_args(config=config)[0]
    settings = module.ModelConfig.from_dict(json.loads(json.dumps(config)))
    settings = update_module_configs(settings, module, config, ["text", "vision"])
    mx.random.seed(0)
    model = module.Model(settings)
    path.mkdir(parents=True)
    mx.save_safetensors(
        str(path / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"}
    )
    for name, content in (
        ("config.json", config),
        ("tokenizer.json", {"version": "1.0"}),
        ("tokenizer_config.json", {"chat_template": "x"}),
        ("preprocessor_config.json", {"image_processor_type": "x"}),
    ):
        (path / name).write_text(json.dumps(content), encoding="utf-8")
    return path
