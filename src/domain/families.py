"""Which model families are of which kind: every table of family names, sorted, each row with its reason.

Keys are values of config.json's `model_type`, lower case. Audio rows are matched as substrings, because
checkpoints spell them with prefixes and suffixes (`whisper-mlx`, `vibevoice_asr`); none of them speaks,
so a family with `tts` in it (`voxtral_tts`) is not meant.
"""

from collections.abc import Mapping

__all__ = [
    "AUDIO_MULTIMODAL",
    "EMBEDDING_ENCODERS",
    "MULTIMODAL_WITHOUT_VISION_CONFIG",
    "NOT_GENERATIVE",
    "SPEECH_TO_TEXT",
    "VISION",
    "VISION_CONVERTIBLE",
]

EMBEDDING_ENCODERS: Mapping[str, str] = {
    "albert": "encoder only",
    "bert": "encoder only",
    "camembert": "encoder only, French RoBERTa",
    "deberta": "encoder only",
    "deberta-v2": "encoder only; v3 checkpoints use it too",
    "distilbert": "encoder only",
    "electra": "encoder only",
    "embedding_gemma2": "decoder with a pooling head, no language head",
    "eurobert": "encoder only",
    "gte": "encoder only, Alibaba's text embedder",
    "jina_bert": "encoder only, long-context BERT",
    "lfm2_embedding": "decoder with a pooling head, no language head",
    "llama_bidirec": "Llama made an encoder; NVIDIA's text embedders",
    "modernbert": "encoder only",
    "mpnet": "encoder only; most of sentence-transformers",
    "new": "encoder only; the `model_type` of gte-*-v1.5",
    "nomic_bert": "encoder only",
    "roberta": "encoder only",
    "xlm-roberta": "encoder only; bge-m3, multilingual-e5",
    "xlm_roberta": "encoder only; the same, spelt as a module",
}

SPEECH_TO_TEXT: Mapping[str, str] = {
    "asr": "named for automatic speech recognition: glmasr, lasr, nemotron_asr, …",
    "canary": "encoder-decoder speech recogniser",
    "cohere_asr": "speech recogniser",
    "fireredasr": "speech recogniser",
    "granite_speech": "speech recogniser on a Granite decoder",
    "moonshine": "encoder-decoder speech recogniser",
    "moss_transcribe": "speech recogniser that tells speakers apart",
    "parakeet": "transducer speech recogniser",
    "qwen3_asr": "speech recogniser on a Qwen3 decoder; no free chat",
    "sensevoice": "speech recogniser",
    "vibevoice": "long-form speech recogniser",
    "voxtral": "speech recogniser and translator",
    "wav2vec": "CTC speech recogniser",
    "whisper": "encoder-decoder speech recogniser and translator",
}

VISION: Mapping[str, str] = {
    "aya_vision": "image and text in, text out",
    "deepseek_vl_v2": "image and text in, text out",
    "deepseekocr": "page images in, text out",
    "fastvlm": "image and text in, text out",
    "florence2": "image and task in, text out",
    "glm4v": "image and text in, text out",
    "glm4v_moe": "image and text in, text out",
    "got": "page images in, text out",
    "idefics2": "image and text in, text out",
    "idefics3": "image and text in, text out",
    "internvl_chat": "image and text in, text out",
    "kimi_vl": "image and text in, text out",
    "llava": "image and text in, text out",
    "llava-qwen2": "image and text in, text out; Bunny's and nanoLLaVA's spelling",
    "llava_bunny": "image and text in, text out",
    "llava_next": "image and text in, text out",
    "llava_onevision": "image and text in, text out",
    "llava_qwen2": "image and text in, text out; FastVLM's spelling",
    "minicpmv": "image and text in, text out",
    "mllama": "Llama 3.2 Vision",
    "molmo": "image and text in, text out",
    "moondream1": "image and text in, text out",
    "multi_modality": "Janus",
    "paligemma": "image and task in, text out",
    "phi3_v": "image and text in, text out",
    "pixtral": "image and text in, text out",
    "qwen2_5_vl": "image and text in, text out",
    "qwen2_vl": "image and text in, text out",
    "qwen3_vl": "image and text in, text out",
    "qwen3_vl_moe": "image and text in, text out",
    "smolvlm": "image and text in, text out",
}

AUDIO_MULTIMODAL: Mapping[str, str] = {
    "minicpmo": "chat with images and sound; keeps its sound settings outside `audio_config`",
    "phi4mm": "chat with images and sound; keeps its sound settings in `embd_layer`",
    "qwen2_audio": "chat with sound",
    "qwen3_omni_moe": "chat with images and sound; keeps its settings under `thinker_config`",
}

NOT_GENERATIVE: Mapping[str, str] = {
    "clip": "images and text to vectors",
    "colidefics3": "page images to vectors",
    "colqwen2_5": "page images to vectors",
    "dinov2": "images to vectors",
    "moge3": "depth from an image",
    "pp_doclayout_v3": "finds the parts of a page",
    "rfdetr": "finds objects",
    "rt_detr_v2": "finds objects",
    "sam3": "cuts objects out of images",
    "sam3_1": "cuts objects out of images",
    "sam3d_body": "bodies from an image",
    "sam3d_objects": "objects from an image",
    "sapiens2": "poses from an image",
    "siglip": "images and text to vectors",
    "siglip2": "images and text to vectors",
    "video_depth_anything": "depth from a video",
    "vit": "images to classes",
    "yolo11": "finds objects",
}

MULTIMODAL_WITHOUT_VISION_CONFIG: Mapping[str, str] = {
    "minicpmo": "the image tower is described outside `vision_config`",
    "phi4mm": "the image tower is described in `embd_layer`",
    "qwen3_omni_moe": "the image tower is described under `thinker_config`",
}

_TRIED = "converted and loaded again by the tests, image tower kept as it is"

VISION_CONVERTIBLE: Mapping[str, str] = {
    "gemma3": _TRIED,
    "idefics3": _TRIED,
    "llava": _TRIED,
    "mllama": _TRIED,
    "pixtral": _TRIED,
    "qwen2_5_vl": _TRIED,
    "qwen2_vl": _TRIED,
    "qwen3_vl": _TRIED,
    "smolvlm": _TRIED,
}
"""Families with an image tower that mlx-vlm quantizes without losing it; nothing else is tried on a guess."""
