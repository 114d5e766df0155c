"""A language model of under 2 MB: random weights in the shape of Llama, a vocabulary of syllables.

It says nothing of sense, but the same nonsense each time at temperature 0.
"""

import gguf
import numpy

WIDTH, FEED_FORWARD, LAYERS, HEADS = 128, 256, 2, 4
STARTS = "ba do ki lu me no pa ri so tu va ze fi go ha ju".split()
ENDS = "n r l s t m k p d g v z ra lo mi nu".split()


def write(path, seed=7):
    words = ["\u2581" + start + end for start in STARTS for end in ENDS]
    kinds = gguf.TokenType
    vocabulary = [
        ("<unk>", kinds.UNKNOWN, 0.0),
        ("<s>", kinds.CONTROL, 0.0),
        ("</s>", kinds.CONTROL, 0.0),
        *((f"<0x{byte:02X}>", kinds.BYTE, -1e3) for byte in range(256)),
        *((word, kinds.NORMAL, -float(rank)) for rank, word in enumerate(words)),
    ]
    silent = len(vocabulary) - len(words)

    out = gguf.GGUFWriter(str(path), "llama")
    out.add_name("hormesis-e2e")
    out.add_context_length(2048)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FEED_FORWARD)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_vocab_size(len(vocabulary))
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    out.add_tokenizer_model("llama")
    out.add_token_list([text.encode() for text, _, _ in vocabulary])
    out.add_token_types([kind for _, kind, _ in vocabulary])
    out.add_token_scores([score for _, _, score in vocabulary])
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    out.add_chat_template("{% for m in messages %}{{ m['role'] }} {{ m['content'] }}\n{% endfor %}")

    draws = numpy.random.default_rng(seed)

    def weights(*shape, scale=1.0):
        return draws.standard_normal(shape, dtype=numpy.float32) * numpy.float32(scale)

    ones = numpy.ones(WIDTH, numpy.float32)
    head = weights(len(vocabulary), WIDTH)
    head[:silent] = 0  # words only: never an early end, never half a character
    out.add_tensor("token_embd.weight", weights(len(vocabulary), WIDTH))
    out.add_tensor("output_norm.weight", ones)
    out.add_tensor("output.weight", head)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        out.add_tensor(block + "attn_norm.weight", ones)
        out.add_tensor(block + "ffn_norm.weight", ones)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            out.add_tensor(f"{block}{name}.weight", weights(WIDTH, WIDTH, scale=0.3))
        for name in ("ffn_gate", "ffn_up"):
            out.add_tensor(f"{block}{name}.weight", weights(FEED_FORWARD, WIDTH, scale=0.3))
        out.add_tensor(f"{block}ffn_down.weight", weights(WIDTH, FEED_FORWARD, scale=0.3))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
