"""Versions of the code that computes the numbers in a feature cache. Each is part of a cache's identity.

Raise one whenever an edit changes what its code computes: features that are already cached then count as made by other
code, and the next extraction encodes them again or refuses, as `cache.on_mismatch` says. An edit that changes no number
raises nothing, and nothing is encoded again. `tests/unit/encoders/test_golden_features.py` fails when the numbers
change and the version does not.
"""

PIXELS = 1
"""Of `encoders.images`, `encoders.preprocess` and `encoders.videos`: decoding an image or a video, cropping it and
resizing it."""

TRAINED_PREPROCESS = 2
"""Of `preprocess: clip` of a backbone: 1 was OpenAI's for every model, 2 is what the model was trained with."""

POOLING = 1
"""Of `extraction.encoding`: from the features of a clip's frames to the features of the clip."""

TEMPORAL_POOLING = 1
"""Of `extraction.frame_poolings` and `extraction.pooling`: from the kept features of frames to those of the clip. The
numbers of a temporal model have the version of its kind."""

CLIP = 1
"""Of `encoders.clip` and `encoders.clip_model`: both towers."""

BLIP2_T5 = 1
"""Of `encoders.blip2_t5`, `encoders.t5_targets` and `encoders.dropout_seed`."""

T5_ANSWERS = 1
"""Of `encoders.t5_answers`, of what it has in common with `BLIP2_T5`, and of `answer_rows`, `answer_texts` and
`continuation`."""

VLM = 1
"""Of `encoders.vlm_inputs`, `encoders.vlm_model` and `encoders.vlm_states`."""

VLM_ANSWERS = 1
"""Of `encoders.vlm_answers`, of what it has in common with `VLM`, and of the same three modules."""

TRANSFORMERS_CLIP = 1
"""Of `encoders.kinds.transformers_clip_model`, and of what kinds of transformers have in common there: the modules
`hugging_face_model`, `hugging_face_texts` and `hugging_face_encoder`."""

FLAVA = 1
"""Of `encoders.kinds.flava_model`, and of the same three modules."""

X_CLIP = 1
"""Of `encoders.kinds.x_clip_model`, and of the modules that kinds of transformers have in common."""

BLIP2_ITC = 1
"""Of `encoders.kinds.blip2_itc_model`, with `q_former` and `blip_texts`."""

LAVIS_ITC = 1
"""Of `encoders.kinds.lavis_itc_model` and `lavis_vision`, with `q_former` and `blip_texts`."""

EMOCLIP = 1
"""Of `encoders.kinds.emoclip`, its temporal part included."""

EMOTIONCLIP = 1
"""Of `encoders.kinds.emotionclip`, its temporal part included."""
