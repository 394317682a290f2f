"""The nets of `make_ssd_fixtures.py`: layers that forks have added, as far as OpenCV knows them."""

from nets import NETS, conv, inputs, layer, net, one

BVLC = set(NETS)

one(
    "normalize",
    "Normalize",
    "norm_param { across_spatial: false scale_filler { value: 20 } channel_shared: false }",
    width=4,
)
one("normalize_shared", "Normalize", "norm_param { across_spatial: true scale_filler { value: 3 } }", width=1)
one("relu6", "ReLU6")
one("shuffle", "ShuffleChannel", "shuffle_channel_param { group: 2 }", x=(1, 6, 3, 4))


def priors(body):
    return layer("PriorBox", "p", "x data", "y", f"prior_box_param {{ {body} }}")


for name, body in {
    "plain": "min_size: 30 clip: false variance: 0.1",
    "sizes": "min_size: 30 max_size: 60 aspect_ratio: 2 flip: true clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2",
    "ratios": "min_size: 20 min_size: 40 max_size: 50 max_size: 70 aspect_ratio: 2 aspect_ratio: 3 flip: false clip: true variance: 0.2",
    "steps": "min_size: 16 aspect_ratio: 1 aspect_ratio: 0.5 step: 16 offset: 0.25 clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2",
    "sides": "min_size: 24 step_h: 20 step_w: 12 clip: false variance: 0.1",
}.items():
    net(f"prior_{name}", inputs(data=(1, 3, 96, 80), x=(1, 2, 6, 5)) + priors(body))


def heads(name, bottom, boxes, classes):
    """Locations and confidences of a map, and its boxes to compare with."""
    text = ""
    for kind, width in (("loc", 4 * boxes), ("conf", classes * boxes)):
        text += conv(f"{name}_{kind}", bottom, width, 3, "pad: 1", relu=False)
        text += layer(
            "Permute",
            f"{name}_{kind}_perm",
            f"{name}_{kind}",
            None,
            "permute_param { order: 0 order: 2 order: 3 order: 1 }",
        )
        text += layer("Flatten", f"{name}_{kind}_flat", f"{name}_{kind}_perm")
    return text


def ssd(detection, *, batch=1, classes=4):
    """A detector with two maps; its last layer has the given parameters."""
    text = (
        inputs(data=(batch, 3, 48, 48))
        + conv("conv1", "data", 6, 3, "pad: 1 stride: 4")
        + conv("conv2", "conv1", 6, 3, "pad: 1 stride: 2")
    )
    text += layer("Normalize", "norm", "conv1", None, "norm_param { across_spatial: false channel_shared: false }")
    variance = "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"
    for name, bottom, size in (("a", "norm", "min_size: 8 max_size: 14"), ("b", "conv2", "min_size: 16 max_size: 24")):
        text += heads(name, bottom, 3, classes)
        text += layer(
            "PriorBox",
            f"{name}_prior",
            f"{bottom} data",
            None,
            f"prior_box_param {{ {size} aspect_ratio: 2 flip: false clip: false {variance} }}",
        )
    text += layer("Concat", "loc", "a_loc_flat b_loc_flat") + layer("Concat", "conf", "a_conf_flat b_conf_flat")
    text += layer("Concat", "prior", "a_prior b_prior", None, "concat_param { axis: 2 }")
    text += layer("Reshape", "conf_r", "conf", None, f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: {classes} }} }}")
    text += layer("Softmax", "conf_s", "conf_r", None, "softmax_param { axis: 2 }") + layer(
        "Flatten", "conf_f", "conf_s"
    )
    body = f"num_classes: {classes} share_location: true background_label_id: 0 {detection}"
    return text + layer("DetectionOutput", "out", "loc conf_f prior", None, f"detection_output_param {{ {body} }}")


for name, body in {
    "usual": "nms_param { nms_threshold: 0.45 top_k: 100 } code_type: CENTER_SIZE keep_top_k: 50 confidence_threshold: 0.3",
    "few": "nms_param { nms_threshold: 0.3 top_k: 12 } code_type: CENTER_SIZE keep_top_k: 7 confidence_threshold: 0.1",
    "corner": "nms_param { nms_threshold: 0.5 top_k: 40 } code_type: CORNER keep_top_k: 30 confidence_threshold: 0.3",
    "all": "nms_param { nms_threshold: 0.4 top_k: 20 } code_type: CENTER_SIZE keep_top_k: 200 confidence_threshold: 0.25",
    "none": "nms_param { nms_threshold: 0.45 top_k: 100 } code_type: CENTER_SIZE keep_top_k: 20 confidence_threshold: 0.9999",
}.items():
    net(f"ssd_{name}", ssd(body))

FORKS = {name: recipe for name, recipe in NETS.items() if name not in BVLC}
