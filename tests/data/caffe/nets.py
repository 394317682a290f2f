"""The nets of `make_fixtures.py`: a few for each layer type and option, and the classic architectures at small width."""


def layer(type, name, bottom="", top=None, body=""):
    """The text of a layer; bottom, top: names separated by spaces."""
    bottoms = "".join(f' bottom: "{b}"' for b in bottom.split())
    tops = "".join(f' top: "{t}"' for t in (name if top is None else top).split())
    return f'layer {{ name: "{name}" type: "{type}"{bottoms}{tops} {body} }}\n'


def inputs(**shapes):
    """Declarations `input` and `input_shape`."""
    return "".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {n}" for n in shape)} }}\n' for name, shape in shapes.items()
    )


NETS = {}


def net(name, text, **recipe):
    assert name not in NETS
    NETS[name] = {"prototxt": f'name: "{name}"\n' + text, **recipe}


def one(name, type, param="", *, x=(2, 4, 6, 7), top="y", bottom="x", others=None, **recipe):
    """A net of one layer."""
    net(name, inputs(x=x, **(others or {})) + layer(type, "l", bottom, top, param), **recipe)


def conv(name, bottom, out, kernel, extra="", relu=True, top=None):
    text = layer(
        "Convolution",
        name,
        bottom,
        top or name,
        f"convolution_param {{ num_output: {out} kernel_size: {kernel} {extra} }}",
    )
    return text + (layer("ReLU", f"{name}_relu", top or name, top or name) if relu else "")


def norm(name, bottom, relu=True):
    """BatchNorm and Scale in place, as of deploy files."""
    text = layer("BatchNorm", f"{name}_bn", bottom, bottom, "batch_norm_param { use_global_stats: true }")
    text += layer("Scale", f"{name}_scale", bottom, bottom, "scale_param { bias_term: true }")
    return text + (layer("ReLU", f"{name}_relu", bottom, bottom) if relu else "")


def pool(name, bottom, kind="MAX", body="kernel_size: 2 stride: 2"):
    return layer("Pooling", name, bottom, name, f"pooling_param {{ pool: {kind} {body} }}")


def dense(name, bottom, out, body=""):
    return layer("InnerProduct", name, bottom, name, f"inner_product_param {{ num_output: {out} {body} }}")


def softmax(bottom, body=""):
    return layer("Softmax", "prob", bottom, "prob", body)


# elementwise

one("absval", "AbsVal")
one("bnll", "BNLL")
one("elu", "ELU")
one("elu_alpha", "ELU", "elu_param { alpha: 0.3 }")
one("exp", "Exp")
one("exp_base", "Exp", "exp_param { base: 2.0 scale: 0.5 shift: 0.25 }")
one("exp_e_scale", "Exp", "exp_param { scale: -0.5 shift: 1.25 }")
one("log", "Log", values={"x": "positive"})
one("log_base", "Log", "log_param { base: 10 scale: 2 shift: 1.5 }", values={"x": "positive"})
one("power", "Power", "power_param { power: 2.0 scale: 0.5 shift: -1.0 }")
one("power_root", "Power", "power_param { power: 0.5 scale: 2 shift: 1 }", values={"x": "positive"})
one("power_zero", "Power", "power_param { power: 0 scale: 3 shift: 1 }")
one("power_three", "Power", "power_param { power: 3 }")
one("power_affine", "Power", "power_param { scale: -0.5 shift: 0.75 }")
one("power_inverse", "Power", "power_param { power: -1.5 shift: 1 }", values={"x": "positive"})
one("relu", "ReLU")
one("relu_leaky", "ReLU", "relu_param { negative_slope: 0.1 }")
one("prelu", "PReLU")
one("prelu_shared", "PReLU", "prelu_param { channel_shared: true }")
one("prelu_matrix", "PReLU", x=(3, 5))
one("sigmoid", "Sigmoid")
one("swish", "Swish", "swish_param { beta: 1.5 }")
one("tanh", "TanH")
one("threshold", "Threshold", "threshold_param { threshold: 0.25 }")
one("dropout", "Dropout", "dropout_param { dropout_ratio: 0.3 }")
one("split", "Split", top="y z")
for kind, body in (
    ("sum", ""),
    ("coeff", "operation: SUM coeff: 0.5 coeff: -2"),
    ("prod", "operation: PROD"),
    ("max", "operation: MAX"),
):
    one(f"eltwise_{kind}", "Eltwise", f"eltwise_param {{ {body} }}", bottom="x z", others={"z": (2, 4, 6, 7)})
one("eltwise_three", "Eltwise", "eltwise_param { operation: SUM coeff: 1 coeff: -1 coeff: 0.5 }", bottom="x z w",
    others={"z": (2, 4, 6, 7), "w": (2, 4, 6, 7)})  # fmt: skip
one("eltwise_max_three", "Eltwise", "eltwise_param { operation: MAX }", bottom="x z w",
    others={"z": (2, 4, 6, 7), "w": (2, 4, 6, 7)})  # fmt: skip

# scale and bias

one("scale", "Scale")
one("scale_bias", "Scale", "scale_param { bias_term: true }")
one("scale_axes", "Scale", "scale_param { axis: 1 num_axes: 2 bias_term: true }")
one("scale_rest", "Scale", "scale_param { axis: 2 num_axes: -1 }")
one("scale_first", "Scale", "scale_param { axis: 0 num_axes: 2 }")
one("scale_single", "Scale", "scale_param { num_axes: 0 }")
one("scale_negative_axis", "Scale", "scale_param { axis: -1 }")
one("scale_two", "Scale", "scale_param { axis: 0 }", bottom="x z", others={"z": (2, 4)})
one("scale_two_bias", "Scale", "scale_param { axis: 1 bias_term: true }", bottom="x z", others={"z": (4, 6)})
one("bias", "Bias")
one("bias_axes", "Bias", "bias_param { axis: 0 num_axes: 3 }")
one("bias_two", "Bias", "bias_param { axis: 1 }", bottom="x z", others={"z": (4,)})

# convolution

for kind, body in {
    "plain": "kernel_size: 3",
    "padded": "kernel_size: 3 pad: 1 stride: 2",
    "sides": "kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 stride_h: 2 stride_w: 1",
    "lists": "kernel_size: 3 kernel_size: 2 pad: 1 pad: 0 stride: 1 stride: 2",
    "groups": "kernel_size: 3 group: 2",
    "depthwise": "kernel_size: 3 pad: 1 group: 4",
    "dilated": "kernel_size: 3 dilation: 2 pad: 2",
    "dilations": "kernel_size: 2 dilation: 2 dilation: 3",
    "without_bias": "kernel_size: 3 bias_term: false",
    "pointwise": "kernel_size: 1",
    "wide_stride": "kernel_size: 2 stride: 4",
}.items():
    one(f"conv_{kind}", "Convolution", f"convolution_param {{ num_output: 8 {body} }}")
one("conv_3d", "Convolution", "convolution_param { num_output: 3 kernel_size: 2 stride: 1 stride: 2 stride: 1 pad: 1 }",
    x=(1, 2, 4, 5, 6))  # fmt: skip
one("conv_1d", "Convolution", "convolution_param { num_output: 3 kernel_size: 3 pad: 1 }", x=(2, 3, 9))
one("conv_axis", "Convolution", "convolution_param { num_output: 3 kernel_size: 3 axis: 2 }", x=(2, 3, 2, 5, 6))
one("conv_two", "Convolution", "convolution_param { num_output: 3 kernel_size: 3 }", bottom="x z", top="y w",
    others={"z": (2, 4, 6, 7)})  # fmt: skip
for kind, body in {
    "plain": "kernel_size: 3",
    "strided": "kernel_size: 4 stride: 2 pad: 1",
    "sides": "kernel_h: 3 kernel_w: 2 pad_h: 1 pad_w: 0 stride_h: 3 stride_w: 2",
    "groups": "kernel_size: 3 group: 2 stride: 2",
    "dilated": "kernel_size: 2 dilation: 2 stride: 2",
    "without_bias": "kernel_size: 2 stride: 2 bias_term: false",
    "bilinear": "kernel_size: 4 stride: 2 pad: 1 group: 4 bias_term: false",
}.items():
    outputs = 4
    one(f"deconv_{kind}", "Deconvolution", f"convolution_param {{ num_output: {outputs} {body} }}", x=(1, 4, 4, 5))
one("im2col", "Im2col", "convolution_param { kernel_size: 3 pad: 1 stride: 2 }")
one("im2col_dilated", "Im2col", "convolution_param { kernel_h: 2 kernel_w: 3 dilation: 2 }")

# inner product and embedding

one("ip", "InnerProduct", "inner_product_param { num_output: 5 }")
one("ip_without_bias", "InnerProduct", "inner_product_param { num_output: 5 bias_term: false }")
one("ip_transposed", "InnerProduct", "inner_product_param { num_output: 5 transpose: true }")
one("ip_axis", "InnerProduct", "inner_product_param { num_output: 5 axis: 2 }")
one("ip_negative_axis", "InnerProduct", "inner_product_param { num_output: 5 axis: -1 transpose: true }")
one("ip_matrix", "InnerProduct", "inner_product_param { num_output: 5 }", x=(3, 8))
one("embed", "Embed", "embed_param { num_output: 5 input_dim: 7 }", x=(3, 4), values={"x": "below7"})
one("embed_without_bias", "Embed", "embed_param { num_output: 5 input_dim: 7 bias_term: false }", x=(6,),
    values={"x": "below7"})  # fmt: skip

# pooling

for kind in ("MAX", "AVE"):
    for name, body in {
        "plain": "kernel_size: 2 stride: 2",
        "ceil": "kernel_size: 3 stride: 2",
        "padded": "kernel_size: 3 stride: 2 pad: 1",
        "clipped": "kernel_size: 2 stride: 2 pad: 1",
        "sides": "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 1",
        "floor": "kernel_size: 3 stride: 2 round_mode: FLOOR",
        "sparse": "kernel_size: 2 stride: 3",
        "overlapping": "kernel_size: 5 stride: 1 pad: 2",
        "global": "global_pooling: true",
    }.items():
        image = (2, 3, 7, 8) if (kind, name) == ("AVE", "sparse") else (2, 3, 6, 7)
        one(f"pool_{kind.lower()}_{name}", "Pooling", f"pooling_param {{ pool: {kind} {body} }}", x=image)
one("pool_ave_far", "Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 4 pad: 2 }", x=(1, 2, 9, 10))
one("spp", "SPP", "spp_param { pyramid_height: 3 pool: MAX }", x=(2, 3, 9, 7))
one("spp_average", "SPP", "spp_param { pyramid_height: 2 pool: AVE }", x=(2, 3, 5, 6))
one("spp_single", "SPP", "spp_param { pyramid_height: 1 }")

# normalization

one("batchnorm", "BatchNorm")
one("batchnorm_factor_zero", "BatchNorm", factor=0.0)
one("batchnorm_eps", "BatchNorm", "batch_norm_param { use_global_stats: true eps: 0.1 }")
one("batchnorm_matrix", "BatchNorm", x=(5, 6))
net("batchnorm_scale", inputs(x=(2, 4, 6, 7)) + norm("n", "x"))
one("lrn", "LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 }")
one("lrn_k", "LRN", "lrn_param { local_size: 5 alpha: 0.01 k: 2 }", x=(1, 7, 3, 4))
one("lrn_within", "LRN", "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }")
one("lrn_within_beta", "LRN", "lrn_param { local_size: 5 alpha: 1.5 beta: 0.5 k: 3 norm_region: WITHIN_CHANNEL }")
one("mvn", "MVN")
one("mvn_across", "MVN", "mvn_param { across_channels: true }")
one("mvn_mean", "MVN", "mvn_param { normalize_variance: false }")
one("mvn_eps", "MVN", "mvn_param { eps: 0.1 }")
one("softmax", "Softmax")
one("softmax_axis", "Softmax", "softmax_param { axis: 2 }")
one("softmax_negative_axis", "Softmax", "softmax_param { axis: -1 }")
one("softmax_matrix", "Softmax", x=(3, 9))

# shapes and parts

one("concat", "Concat", bottom="x z", others={"z": (2, 3, 6, 7)})
one("concat_axis", "Concat", "concat_param { axis: -2 }", bottom="x z", others={"z": (2, 4, 2, 7)})
one("concat_dim", "Concat", "concat_param { concat_dim: 0 }", bottom="x z x", others={"z": (3, 4, 6, 7)})
one("concat_single", "Concat")
one("slice", "Slice", top="y z")
one("slice_points", "Slice", "slice_param { axis: 3 slice_point: 1 slice_point: 4 }", top="y z w")
one("slice_dim", "Slice", "slice_param { slice_dim: 0 slice_point: 1 }", top="y z")
one("slice_uneven", "Slice", "slice_param { axis: 2 }", top="y z w")
one("flatten", "Flatten")
one("flatten_axes", "Flatten", "flatten_param { axis: 1 end_axis: 2 }")
one("flatten_negative", "Flatten", "flatten_param { axis: -3 end_axis: -2 }")
one("reshape", "Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }")
one("reshape_axis", "Reshape", "reshape_param { axis: 1 num_axes: 2 shape { dim: 3 dim: 8 } }")
one("reshape_insert", "Reshape", "reshape_param { axis: 1 num_axes: 0 shape { dim: 1 } }")
one("reshape_rest", "Reshape", "reshape_param { axis: -2 shape { dim: -1 } }")
one("tile", "Tile", "tile_param { tiles: 3 }")
one("tile_axis", "Tile", "tile_param { axis: -1 tiles: 2 }")
one("crop", "Crop", bottom="x z", others={"z": (2, 9, 4, 5)})
one("crop_offset", "Crop", "crop_param { offset: 1 }", bottom="x z", others={"z": (2, 9, 4, 5)})
one("crop_offsets", "Crop", "crop_param { axis: 1 offset: 1 offset: 2 offset: 0 }", bottom="x z",
    others={"z": (1, 2, 3, 6)})  # fmt: skip
one("crop_last", "Crop", "crop_param { axis: -1 offset: 3 }", bottom="x z", others={"z": (1, 1, 1, 4)})
one("permute", "Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }")
one("permute_partly", "Permute", "permute_param { order: 2 }")
one("batch_reindex", "BatchReindex", bottom="x z", others={"z": (5,)}, values={"z": "below2"})
one("reverse", "Reverse", "reverse_param { axis: 0 }", x=(5, 3, 4))

# reductions

one("argmax", "ArgMax")
one("argmax_top", "ArgMax", "argmax_param { top_k: 4 }", x=(3, 11))
one("argmax_axis", "ArgMax", "argmax_param { axis: 1 }")
one("argmax_axis_top", "ArgMax", "argmax_param { axis: -1 top_k: 3 }")
one("argmax_value", "ArgMax", "argmax_param { out_max_val: true top_k: 2 }")
one("argmax_axis_value", "ArgMax", "argmax_param { axis: 2 out_max_val: true top_k: 2 }")
for kind in ("SUM", "ASUM", "SUMSQ", "MEAN"):
    one(f"reduction_{kind.lower()}", "Reduction", f"reduction_param {{ operation: {kind} axis: 1 }}")
one("reduction_coeff", "Reduction", "reduction_param { operation: MEAN axis: -2 coeff: -2.5 }")
one("reduction_all", "Reduction")
one("reduction_last", "Reduction", "reduction_param { operation: ASUM axis: 3 coeff: 0.5 }")

# recurrent layers

RECURRENT = "recurrent_param { num_output: 5 %s weight_filler { type: 'uniform' } }"
for kind in ("LSTM", "RNN"):
    low = kind.lower()
    states = {"h": (1, 2, 5), "c": (1, 2, 5)} if kind == "LSTM" else {"h": (1, 2, 5)}
    cont = {"cont": "cont"}
    one(low, kind, RECURRENT % "", x=(4, 2, 3), bottom="x cont", others={"cont": (4, 2)}, values=cont)
    one(f"{low}_static", kind, RECURRENT % "", x=(4, 2, 3), bottom="x cont s", others={"cont": (4, 2), "s": (2, 6)},
        values=cont)  # fmt: skip
    one(f"{low}_exposed", kind, RECURRENT % "expose_hidden: true", x=(3, 2, 3), values=cont,
        bottom=f"x cont {' '.join(states)}", top="y " + " ".join(f"{s}_last" for s in states),
        others={"cont": (3, 2), **states})  # fmt: skip
one(
    "lstm_map",
    "LSTM",
    RECURRENT % "",
    x=(3, 2, 2, 4),
    bottom="x cont",
    others={"cont": (3, 2)},
    values={"cont": "cont"},
)

# constants

net("dummy_data", inputs(x=(2, 3)) + layer("DummyData", "d", "", "d",
    "dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: 'constant' value: 1.5 } }") + layer("Eltwise", "y", "x d"))  # fmt: skip
net("dummy_data_sides", inputs(x=(2, 3, 1, 2)) + layer("DummyData", "d", "", "d",
    "dummy_data_param { num: 2 channels: 3 height: 1 width: 2 }") + layer("Eltwise", "y", "x d"))  # fmt: skip
net("parameter", inputs(x=(2, 3)) + layer("Parameter", "p", "", "p", "parameter_param { shape { dim: 2 dim: 3 } }")
    + layer("Eltwise", "y", "x p", body="eltwise_param { operation: PROD }"))  # fmt: skip

# what a net may look like

CONV = layer("Convolution", "conv", "data", "conv", "convolution_param { num_output: 3 kernel_size: 3 }")
net("inputs_dim", 'input: "data" input_dim: 1 input_dim: 2 input_dim: 5 input_dim: 6\n' + CONV)
net("inputs_two", 'input: "data" input: "other" input_dim: 1 input_dim: 2 input_dim: 5 input_dim: 6\n'
    "input_dim: 1 input_dim: 3 input_dim: 3 input_dim: 4\n" + CONV + layer("Concat", "y", "conv other"))  # fmt: skip
net("inputs_shape", inputs(data=(1, 2, 5, 6)) + CONV)
net("inputs_layer", layer("Input", "i", "", "data other", "input_param { shape { dim: 1 dim: 2 dim: 5 dim: 6 } }")
    + CONV + layer("AbsVal", "y", "other"))  # fmt: skip
net("inputs_memory", layer("MemoryData", "m", "", "data label",
    "memory_data_param { batch_size: 2 channels: 2 height: 5 width: 6 }") + CONV + layer("Silence", "s", "label", ""),
    feeds=["data"], start=1)  # fmt: skip
net("outputs", inputs(data=(1, 2, 5, 6)) + layer("ReLU", "zz", "data") + layer("TanH", "bb", "data")
    + layer("Sigmoid", "mm", "zz") + layer("Exp", "aa", "data"))  # fmt: skip
net("in_place", inputs(data=(1, 2, 5, 6)) + layer("ReLU", "r", "data", "data") + CONV + layer("ReLU", "a", "conv", "conv")
    + layer("Sigmoid", "b", "conv", "conv") + layer("Power", "c", "conv", "conv", "power_param { shift: 1 }") + layer("TanH", "y", "conv"))  # fmt: skip
net("shared", inputs(data=(1, 3, 4, 5)) + "".join(
    layer("Convolution", name, bottom, name,
          "param { name: 'w' } param { name: 'b' } convolution_param { num_output: 3 kernel_size: 3 pad: 1 }")
    for name, bottom in (("first", "data"), ("second", "first"))))  # fmt: skip
net("phases", inputs(data=(1, 2, 5, 6)) + layer("AbsVal", "train", "data", "y", "include { phase: TRAIN }")
    + layer("TanH", "test", "data", "y", "include { phase: TEST }")
    + layer("Sigmoid", "other", "y", "z", "exclude { phase: TEST }")
    + layer("ReLU", "level", "y", "w", "include { min_level: 0 max_level: 2 }")
    + layer("Exp", "high", "y", "v", "include { min_level: 1 }"))  # fmt: skip
net("stages", 'state { stage: "deploy" }\n' + inputs(data=(1, 2, 5, 6))
    + layer("TanH", "with", "data", "y", "include { stage: 'deploy' }")
    + layer("AbsVal", "without", "data", "z", "include { not_stage: 'deploy' }")
    + layer("Sigmoid", "out", "y", "y", "exclude { stage: 'deploy' }"))  # fmt: skip
net("unlabeled", inputs(data=(2, 6)) + dense("fc", "data", 4) + layer("Softmax", "loss", "fc"))

V1 = """
input: "data" input_dim: 1 input_dim: 3 input_dim: 12 input_dim: 12
layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1" blobs_lr: 1 blobs_lr: 2 weight_decay: 1
  convolution_param { num_output: 6 kernel_size: 3 stride: 1 group: 3 } }
layers { name: "relu1" type: RELU bottom: "conv1" top: "conv1" }
layers { name: "norm1" type: LRN bottom: "conv1" top: "norm1" lrn_param { local_size: 3 alpha: 0.1 } }
layers { name: "pool1" type: POOLING bottom: "norm1" top: "pool1" pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layers { name: "fc" type: INNER_PRODUCT bottom: "pool1" top: "fc" inner_product_param { num_output: 7 } }
layers { name: "drop" type: DROPOUT bottom: "fc" top: "fc" dropout_param { dropout_ratio: 0.5 } }
layers { name: "sum" type: ELTWISE bottom: "fc" bottom: "fc" top: "sum" eltwise_param { operation: PROD } }
layers { name: "test" type: TANH bottom: "sum" top: "t" include { phase: TEST } }
layers { name: "prob" type: SOFTMAX bottom: "t" top: "prob" }
"""
net("v1", V1, legacy=True)
net("v1_doubles", V1, legacy=True, doubles=True)
V0 = """
input: "data" input_dim: 1 input_dim: 3 input_dim: 12 input_dim: 11
layers { layer { name: "pad1" type: "padding" pad: 2 } bottom: "data" top: "pad1" }
layers { layer { name: "conv1" type: "conv" num_output: 6 kernelsize: 5 stride: 2 group: 3 biasterm: true
  weight_filler { type: "gaussian" std: 0.1 } blobs_lr: 1 blobs_lr: 2 weight_decay: 1 } bottom: "pad1" top: "conv1" }
layers { layer { name: "relu1" type: "relu" } bottom: "conv1" top: "conv1" }
layers { layer { name: "pool1" type: "pool" pool: AVE kernelsize: 3 stride: 2 pad: 1 } bottom: "conv1" top: "pool1" }
layers { layer { name: "norm1" type: "lrn" local_size: 3 alpha: 0.1 beta: 0.5 } bottom: "pool1" top: "norm1" }
layers { layer { name: "cat" type: "concat" concat_dim: 1 } bottom: "norm1" bottom: "pool1" top: "cat" }
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.4 } bottom: "cat" top: "cat" }
layers { layer { name: "fc" type: "innerproduct" num_output: 7 biasterm: false } bottom: "cat" top: "fc" }
layers { layer { name: "prob" type: "softmax" } bottom: "fc" top: "prob" }
"""
net("v0", V0, legacy=True)
net("doubles", inputs(data=(1, 2, 5, 6)) + CONV, legacy=True)

# classic architectures at small width

IMAGE = inputs(data=(1, 3, 32, 32))


def lenet():
    text = inputs(data=(1, 1, 28, 28)) + layer("Power", "scale", "data", "scale", "power_param { scale: 0.00390625 }")
    text += conv("conv1", "scale", 3, 5, relu=False) + pool("pool1", "conv1") + conv("conv2", "pool1", 5, 5, relu=False)
    text += (
        pool("pool2", "conv2")
        + dense("ip1", "pool2", 8)
        + layer("ReLU", "relu1", "ip1", "ip1")
        + dense("ip2", "ip1", 10)
    )
    return text + softmax("ip2")


def alexnet():
    norm_text = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
    text = inputs(data=(1, 3, 59, 59)) + conv("conv1", "data", 8, 11, "stride: 4")
    text += layer("LRN", "norm1", "conv1", None, norm_text) + pool("pool1", "norm1", body="kernel_size: 3 stride: 2")
    text += conv("conv2", "pool1", 8, 5, "pad: 2 group: 2") + layer("LRN", "norm2", "conv2", None, norm_text)
    text += pool("pool2", "norm2", body="kernel_size: 3 stride: 2") + conv("conv3", "pool2", 8, 3, "pad: 1")
    text += conv("conv4", "conv3", 8, 3, "pad: 1 group: 2") + conv("conv5", "conv4", 8, 3, "pad: 1 group: 2")
    text += pool("pool5", "conv5", body="kernel_size: 3 stride: 2") + dense("fc6", "pool5", 12)
    text += layer("ReLU", "relu6", "fc6", "fc6") + layer("Dropout", "drop6", "fc6", "fc6") + dense("fc7", "fc6", 10)
    return text + softmax("fc7")


def vgg():
    text, bottom = IMAGE, "data"
    for block, width in enumerate((4, 6, 8), 1):
        for k in (1, 2):
            text += conv(f"conv{block}_{k}", bottom, width, 3, "pad: 1")
            bottom = f"conv{block}_{k}"
        text += pool(f"pool{block}", bottom)
        bottom = f"pool{block}"
    return text + dense("fc6", bottom, 10) + softmax("fc6")


def inception(name, bottom):
    text = conv(f"{name}/1x1", bottom, 3, 1) + conv(f"{name}/3x3_reduce", bottom, 2, 1)
    text += conv(f"{name}/3x3", f"{name}/3x3_reduce", 4, 3, "pad: 1") + conv(f"{name}/5x5_reduce", bottom, 2, 1)
    text += conv(f"{name}/5x5", f"{name}/5x5_reduce", 3, 5, "pad: 2")
    text += pool(f"{name}/pool", bottom, body="kernel_size: 3 stride: 1 pad: 1") + conv(
        f"{name}/pool_proj", f"{name}/pool", 2, 1
    )
    ends = " ".join(f"{name}/{part}" for part in ("1x1", "3x3", "5x5", "pool_proj"))
    return text + layer("Concat", f"{name}/output", ends)


def googlenet():
    text = IMAGE + conv("conv1/7x7_s2", "data", 6, 7, "pad: 3 stride: 2")
    text += pool("pool1/3x3_s2", "conv1/7x7_s2", body="kernel_size: 3 stride: 2")
    text += layer("LRN", "pool1/norm1", "pool1/3x3_s2", None, "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")
    text += inception("inception_3a", "pool1/norm1") + inception("inception_3b", "inception_3a/output")
    text += pool("pool3", "inception_3b/output", body="kernel_size: 3 stride: 2") + inception("inception_4a", "pool3")
    text += pool("pool5", "inception_4a/output", "AVE", "kernel_size: 4 stride: 1")
    return text + dense("loss3/classifier", "pool5", 10) + softmax("loss3/classifier")


def resnet():
    text = IMAGE + conv("conv1", "data", 6, 7, "pad: 3 stride: 2 bias_term: false", relu=False) + norm("conv1", "conv1")
    text += pool("pool1", "conv1", body="kernel_size: 3 stride: 2")
    bottom = "pool1"
    for k, stride in (("2a", 1), ("2b", 1), ("3a", 2)):
        extra, short = "pad: 1 bias_term: false", bottom
        if k != "2b":
            short = f"res{k}_branch1"
            text += conv(short, bottom, 6, 1, f"stride: {stride} bias_term: false", relu=False) + norm(
                short, short, False
            )
        text += conv(f"res{k}_a", bottom, 6, 3, f"{extra} stride: {stride}", relu=False) + norm(
            f"res{k}_a", f"res{k}_a"
        )
        text += conv(f"res{k}_b", f"res{k}_a", 6, 3, extra, relu=False) + norm(f"res{k}_b", f"res{k}_b", False)
        text += layer("Eltwise", f"res{k}", f"{short} res{k}_b") + layer("ReLU", f"res{k}_relu", f"res{k}", f"res{k}")
        bottom = f"res{k}"
    return text + pool("pool5", bottom, "AVE", "global_pooling: true") + dense("fc", "pool5", 10) + softmax("fc")


def squeezenet():
    text, bottom = (
        IMAGE + conv("conv1", "data", 6, 3, "stride: 2") + pool("pool1", "conv1", body="kernel_size: 3 stride: 2"),
        "pool1",
    )
    for k in (2, 3):
        name = f"fire{k}"
        text += conv(f"{name}/squeeze1x1", bottom, 3, 1)
        text += conv(f"{name}/expand1x1", f"{name}/squeeze1x1", 4, 1)
        text += conv(f"{name}/expand3x3", f"{name}/squeeze1x1", 4, 3, "pad: 1")
        text += layer("Concat", f"{name}/concat", f"{name}/expand1x1 {name}/expand3x3")
        bottom = f"{name}/concat"
    text += layer("Dropout", "drop9", bottom, bottom) + conv("conv10", bottom, 10, 1, "pad: 1")
    return text + pool("pool10", "conv10", "AVE", "global_pooling: true") + softmax("pool10")


def mobilenet():
    plain = "bias_term: false"
    text, bottom = (
        IMAGE + conv("conv1", "data", 4, 3, f"{plain} pad: 1 stride: 2", relu=False) + norm("conv1", "conv1"),
        "conv1",
    )
    for k, (width, out, stride) in enumerate(((4, 6, 1), (6, 8, 2)), 2):
        text += conv(f"conv{k}/dw", bottom, width, 3, f"{plain} pad: 1 group: {width} stride: {stride}", relu=False)
        text += norm(f"conv{k}/dw", f"conv{k}/dw")
        text += conv(f"conv{k}/sep", f"conv{k}/dw", out, 1, plain, relu=False) + norm(f"conv{k}/sep", f"conv{k}/sep")
        bottom = f"conv{k}/sep"
    text += pool("pool6", bottom, "AVE", "global_pooling: true") + conv("fc7", "pool6", 10, 1, relu=False)
    return text + softmax("fc7")


def mobilenet_v2():
    plain = "bias_term: false"
    text, bottom = (
        IMAGE + conv("conv1", "data", 4, 3, f"{plain} pad: 1 stride: 2", relu=False) + norm("conv1", "conv1"),
        "conv1",
    )
    for k, stride in ((1, 1), (2, 2)):
        name = f"conv2_{k}"
        text += conv(f"{name}/expand", bottom, 8, 1, plain, relu=False) + norm(f"{name}/expand", f"{name}/expand")
        text += conv(f"{name}/dwise", f"{name}/expand", 8, 3, f"{plain} pad: 1 group: 8 stride: {stride}", relu=False)
        text += norm(f"{name}/dwise", f"{name}/dwise")
        text += conv(f"{name}/linear", f"{name}/dwise", 4, 1, plain, relu=False) + norm(
            f"{name}/linear", f"{name}/linear", False
        )
        if stride == 1:
            text += layer("Eltwise", f"block_{k}", f"{bottom} {name}/linear")
        bottom = f"block_{k}" if stride == 1 else f"{name}/linear"
    text += pool("pool6", bottom, "AVE", "global_pooling: true") + conv("fc7", "pool6", 10, 1, relu=False)
    return text + softmax("fc7")


def densenet():
    text, bottom = IMAGE + conv("conv1", "data", 4, 3, "pad: 1 stride: 2 bias_term: false", relu=False), "conv1"
    for k in (1, 2, 3):
        name = f"conv{k + 1}"
        text += layer("BatchNorm", f"{name}/bn", bottom, None, "batch_norm_param { eps: 1e-5 }")
        text += layer("Scale", f"{name}/scale", f"{name}/bn", f"{name}/bn", "scale_param { bias_term: true }")
        text += layer("ReLU", f"{name}/relu", f"{name}/bn", f"{name}/bn")
        text += conv(name, f"{name}/bn", 3, 3, "pad: 1 bias_term: false", relu=False)
        text += layer("Concat", f"concat{k}", f"{bottom} {name}")
        bottom = f"concat{k}"
    return text + pool("pool", bottom, "AVE", "global_pooling: true") + dense("fc", "pool", 10) + softmax("fc")


def unet():
    text = (
        inputs(data=(1, 1, 22, 22))
        + conv("down1", "data", 4, 3)
        + pool("pool1", "down1")
        + conv("down2", "pool1", 6, 3)
    )
    text += pool("pool2", "down2") + conv("middle", "pool2", 8, 3, "pad: 1")
    text += layer(
        "Deconvolution", "up2", "middle", None, "convolution_param { num_output: 6 kernel_size: 2 stride: 2 }"
    )
    text += layer("Crop", "crop2", "down2 up2", None, "crop_param { axis: 2 offset: 0 }") + layer(
        "Concat", "cat2", "up2 crop2"
    )
    text += conv("merge2", "cat2", 6, 3, "pad: 1")
    text += layer(
        "Deconvolution", "up1", "merge2", None, "convolution_param { num_output: 4 kernel_size: 2 stride: 2 }"
    )
    text += layer("Crop", "crop1", "down1 up1", None, "crop_param { axis: 2 offset: 1 }") + layer(
        "Concat", "cat1", "up1 crop1"
    )
    return text + conv("score", "cat1", 3, 1, relu=False) + softmax("score")


def fcn():
    text = inputs(data=(1, 3, 40, 36)) + conv("conv1", "data", 5, 3, "pad: 20") + pool("pool1", "conv1")
    text += conv("conv2", "pool1", 6, 3, "pad: 1") + pool("pool2", "conv2") + conv("fc6", "pool2", 8, 7)
    text += layer("Dropout", "drop6", "fc6", "fc6") + conv("score_fr", "fc6", 4, 1, relu=False)
    up = "convolution_param { num_output: 4 bias_term: false kernel_size: 4 stride: 2 }"
    text += layer("Deconvolution", "upscore2", "score_fr", None, up) + conv("score_pool", "pool1", 4, 1, relu=False)
    text += layer("Crop", "score_poolc", "score_pool upscore2", None, "crop_param { axis: 2 offset: 5 }")
    text += layer("Eltwise", "fuse", "upscore2 score_poolc", None, "eltwise_param { operation: SUM }")
    text += layer("Deconvolution", "upscore", "fuse", None, up)
    return text + layer("Crop", "score", "upscore data", None, "crop_param { axis: 2 offset: 9 }")


def captioner():
    text = inputs(data=(2, 3, 8, 8), cont_sentence=(4, 2), input_sentence=(4, 2)) + conv("conv1", "data", 4, 3)
    text += dense("fc8", "conv1", 6)
    text += layer("Embed", "embedding", "input_sentence", "embedded_input_sentence",
                  "embed_param { bias_term: false input_dim: 9 num_output: 5 }")  # fmt: skip
    text += layer(
        "LSTM", "lstm1", "embedded_input_sentence cont_sentence", "lstm1", "recurrent_param { num_output: 6 }"
    )
    text += layer("LSTM", "lstm2", "lstm1 cont_sentence fc8", "lstm2", "recurrent_param { num_output: 6 }")
    return text + dense("predict", "lstm2", 9, "axis: 2") + softmax("predict", "softmax_param { axis: 2 }")


def sppnet():
    text = IMAGE + conv("conv1", "data", 4, 5, "stride: 2") + pool("pool1", "conv1", body="kernel_size: 3 stride: 2")
    text += conv("conv2", "pool1", 6, 3, "pad: 1") + layer(
        "SPP", "spp", "conv2", None, "spp_param { pyramid_height: 3 }"
    )
    return text + dense("fc6", "spp", 10) + softmax("fc6")


for make in (
    lenet,
    alexnet,
    vgg,
    googlenet,
    resnet,
    squeezenet,
    mobilenet,
    mobilenet_v2,
    densenet,
    unet,
    fcn,
    captioner,
    sppnet,
):
    recipe = {"values": {"cont_sentence": "cont", "input_sentence": "below9"}} if make is captioner else {}
    net(make.__name__, make(), **recipe)
