"""Keras networks with seeded random weights: those of keras.applications, and small ones of the kinds people build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...support.tf_programs import tf

keras = tf.keras
layers, ops = keras.layers, keras.ops
Make = Callable[[], Any]


@dataclass(frozen=True)
class Network:
    """What makes a network, and the number of samples in a batch that it is run on."""

    make: Make
    batch: int = 2

    def build(self) -> Any:
        """The network, the same in each process."""
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        model = self.make()
        generator = np.random.default_rng(0)
        for variable in model.weights:
            variable.assign(_weights(generator, variable.path, tuple(variable.shape)))
        return model


def _weights(generator: np.random.Generator, path: str, shape: tuple[int, ...]) -> Any:
    """Such that results neither vanish nor explode, and no parameter is 0 or 1, as they are before training."""
    if len(shape) < 2:
        spread = generator.uniform(0.7, 1.3, shape) if path.endswith(("variance", "gamma")) else None
        return 0.1 * generator.standard_normal(shape) if spread is None else spread
    fan = int(np.prod(shape[:2] if "depthwise" in path and len(shape) == 4 else shape[:-1]))
    return generator.standard_normal(shape) * np.sqrt(1.5 / fan)


def application(name: str, size: int, **options: Any) -> Make:
    """A network of keras.applications, without the softmax: it gives 0.001 to each of 1000 classes."""

    def make() -> Any:
        make = getattr(keras.applications, name)
        return make(weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None, **options)

    return make


APPLICATIONS = {
    "VGG16": Network(application("VGG16", 32), batch=1),
    "ResNet50": Network(application("ResNet50", 64)),
    "ResNet50V2": Network(application("ResNet50V2", 64)),
    "InceptionV3": Network(application("InceptionV3", 107), batch=1),
    "Xception": Network(application("Xception", 71), batch=1),
    "DenseNet121": Network(application("DenseNet121", 65), batch=1),
    "MobileNet": Network(application("MobileNet", 64)),
    "MobileNetV2": Network(application("MobileNetV2", 65)),
    "MobileNetV3Small": Network(application("MobileNetV3Small", 64)),
    "NASNetMobile": Network(application("NASNetMobile", 64), batch=1),
    "EfficientNetB0": Network(application("EfficientNetB0", 64), batch=1),
    "EfficientNetV2B0": Network(application("EfficientNetV2B0", 64), batch=1),
    "ConvNeXtTiny": Network(application("ConvNeXtTiny", 64), batch=1),
}

SMALL: dict[str, Network] = {}


def small(make: Make) -> Make:
    """Registers a network by the name of its function."""
    SMALL[make.__name__] = Network(make)
    return make


def model(inputs: Any, outputs: Any) -> Any:
    """A model of symbolic tensors."""
    return keras.Model(inputs, outputs)


# recurrent


def tokens(length: int = 7) -> Any:
    """An input of token numbers."""
    return layers.Input((length,), dtype="int32", name="tokens")


@small
def lstm() -> Any:
    x = layers.Input((7, 5))
    return model(x, layers.Dense(3)(layers.LSTM(6)(x)))


@small
def lstm_stacked() -> Any:
    x = layers.Input((5, 4))
    y, *state = layers.LSTM(6, return_sequences=True, return_state=True)(x)
    return model(x, [layers.LSTM(3, go_backwards=True, return_sequences=True)(y), *state])


@small
def lstm_bidirectional() -> Any:
    x = layers.Input((6, 4))
    y = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(x)
    return model(x, layers.Bidirectional(layers.LSTM(3), merge_mode="sum")(y))


@small
def lstm_masked() -> Any:
    x = tokens()
    y = layers.Embedding(9, 4, mask_zero=True)(x)
    return model(x, layers.LSTM(5)(layers.LSTM(6, return_sequences=True)(y)))


@small
def lstm_unrolled() -> Any:
    x = layers.Input((4, 3))
    return model(x, layers.LSTM(5, unroll=True)(x))


@small
def gru() -> Any:
    x = layers.Input((7, 5))
    return model(x, layers.Dense(3, activation="softmax")(layers.GRU(6)(x)))


@small
def gru_stacked() -> Any:
    x = layers.Input((5, 4))
    y, state = layers.GRU(6, return_sequences=True, return_state=True, reset_after=False)(x)
    return model(x, [layers.GRU(3, activation="relu")(y), state])


@small
def gru_bidirectional() -> Any:
    x = layers.Input((6, 4))
    y = layers.Bidirectional(layers.GRU(5, return_sequences=True), merge_mode="mul")(x)
    return model(x, layers.Bidirectional(layers.GRU(3))(y))


@small
def gru_masked() -> Any:
    x = tokens()
    y = layers.Embedding(9, 4, mask_zero=True)(x)
    return model(x, layers.Bidirectional(layers.GRU(5))(y))


@small
def simple_rnn() -> Any:
    x = layers.Input((7, 5))
    return model(x, layers.SimpleRNN(6, return_sequences=True)(x))


@small
def conv_lstm() -> Any:
    x = layers.Input((3, 6, 5, 2))
    return model(x, layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(x))


@small
def time_distributed() -> Any:
    x = layers.Input((4, 8, 8, 2))
    y = layers.TimeDistributed(layers.Conv2D(3, 3, activation="relu"))(x)
    y = layers.TimeDistributed(layers.GlobalAveragePooling2D())(y)
    return model(x, layers.LSTM(5)(y))


# attention


def block(x: Any, heads: int, width: int, causal: bool = False) -> Any:
    """Attention and a feed-forward part, each normalized and with a way around."""
    y = layers.LayerNormalization(epsilon=1e-5)(x)
    x = x + layers.MultiHeadAttention(heads, width // heads)(y, y, use_causal_mask=causal)
    y = layers.LayerNormalization(epsilon=1e-5)(x)
    return x + layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(y))


@small
def multi_head_attention() -> Any:
    query, memory = layers.Input((5, 12)), layers.Input((7, 8))
    y, weights = layers.MultiHeadAttention(3, 4, value_dim=5)(query, memory, return_attention_scores=True)
    return model([query, memory], [y, weights])


@small
def grouped_attention() -> Any:
    x = layers.Input((6, 12))
    return model(x, layers.GroupQueryAttention(4, 4, 2)(x, x))


@small
def transformer_encoder() -> Any:
    x = layers.Input((9, 16))
    return model(x, layers.Dense(4)(layers.GlobalAveragePooling1D()(block(block(x, 4, 16), 2, 16))))


@small
def transformer_tokens() -> Any:
    x = tokens(9)
    places = layers.Embedding(9, 16)(ops.expand_dims(ops.arange(9), 0))
    y = layers.Embedding(20, 16)(x) + places
    return model(x, layers.Dense(20)(block(block(y, 4, 16, causal=True), 4, 16, causal=True)))


@small
def vision_transformer() -> Any:
    x = layers.Input((16, 16, 3))
    y = layers.Reshape((16, 24))(layers.Conv2D(24, 4, strides=4)(x))
    return model(x, layers.Dense(5)(block(block(y, 3, 24), 3, 24)[:, 0]))


# images


def double(x: Any, filters: int) -> Any:
    """Two convolutions."""
    for _ in range(2):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)))
    return x


def u_net(enlarge: Callable[[Any, int], Any]) -> Any:
    """Three levels; `enlarge` doubles the extents."""
    x = layers.Input((24, 16, 3))
    first = double(x, 6)
    second = double(layers.MaxPooling2D()(first), 10)
    y = double(layers.MaxPooling2D()(second), 14)
    y = double(layers.Concatenate()([enlarge(y, 10), second]), 10)
    y = double(layers.Concatenate()([enlarge(y, 6), first]), 6)
    return model(x, layers.Conv2D(2, 1, activation="sigmoid")(y))


@small
def u_net_transposed() -> Any:
    return u_net(lambda x, filters: layers.Conv2DTranspose(filters, 2, strides=2)(x))


@small
def u_net_transposed_same() -> Any:
    return u_net(lambda x, filters: layers.Conv2DTranspose(filters, 3, strides=2, padding="same")(x))


@small
def u_net_bilinear() -> Any:
    return u_net(lambda x, filters: layers.Conv2D(filters, 1)(layers.UpSampling2D(interpolation="bilinear")(x)))


@small
def u_net_nearest() -> Any:
    return u_net(lambda x, filters: layers.Conv2D(filters, 1)(layers.UpSampling2D()(x)))


@small
def separable() -> Any:
    x = layers.Input((17, 13, 3))
    y = layers.SeparableConv2D(8, 3, strides=2, padding="same", depth_multiplier=2, activation="relu")(x)
    y = layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(y)
    y = layers.DepthwiseConv2D((3, 5), strides=2, padding="valid")(y)
    return model(x, layers.Dense(4)(layers.Flatten()(layers.LeakyReLU(negative_slope=0.2)(y))))


@small
def dilated() -> Any:
    x = layers.Input((15, 14, 3))
    branches = [layers.Conv2D(4, 3, dilation_rate=d, padding="same")(x) for d in (1, 2, 3)]
    y = layers.Concatenate()(branches)
    y = layers.Conv2D(6, 3, dilation_rate=(2, 3))(layers.PReLU(shared_axes=[1, 2])(y))
    return model(x, layers.GlobalMaxPooling2D(keepdims=True)(y))


@small
def grouped() -> Any:
    x = layers.Input((9, 10, 8))
    y = layers.Conv2D(12, 3, groups=4, strides=2, padding="same")(x)
    y = layers.GroupNormalization(3)(y)
    y = layers.Conv2D(8, 3, groups=2, activation="swish")(y)
    return model(x, layers.UnitNormalization()(layers.SpatialDropout2D(0.5)(y)))


@small
def sub_pixel() -> Any:
    x = layers.Input((7, 9, 1))
    y = layers.Conv2D(8, 5, padding="same", activation="tanh")(x)
    y = layers.Conv2D(9, 3, padding="same")(y)
    y = layers.Reshape((7, 9, 3, 3, 1))(y)
    return model(x, layers.Reshape((21, 27, 1))(layers.Permute((1, 3, 2, 4, 5))(y)))


@small
def depth_to_space() -> Any:
    x = layers.Input((8, 6, 3))
    y = layers.Lambda(lambda t: tf.nn.space_to_depth(t, 2))(x)
    y = layers.Conv2D(12, 3, padding="same")(y)
    return model(x, layers.Lambda(lambda t: tf.nn.depth_to_space(t, 2))(y))


@small
def conv3d() -> Any:
    x = layers.Input((6, 9, 8, 2))
    y = layers.Conv3D(5, 3, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(layers.MaxPooling3D(2)(y))
    y = layers.Conv3D(4, (1, 3, 3), strides=(1, 2, 2), padding="same")(y)
    y = layers.AveragePooling3D((2, 1, 1), padding="same")(y)
    return model(x, layers.Dense(3)(layers.Flatten()(y)))


@small
def conv3d_transposed() -> Any:
    x = layers.Input((3, 4, 5, 2))
    y = layers.Conv3DTranspose(4, 3, strides=2, padding="same", activation="elu")(x)
    return model(x, layers.Cropping3D(1)(layers.UpSampling3D(2)(y)))


@small
def temporal() -> Any:
    x = layers.Input((20, 3))
    y = x
    for dilation in (1, 2, 4):
        y = layers.LayerNormalization()(layers.Conv1D(8, 3, padding="causal", dilation_rate=dilation)(y))
        y = layers.Activation("gelu")(y)
    y = layers.AveragePooling1D(2)(layers.SeparableConv1D(6, 3, strides=2)(y))
    return model(x, layers.Conv1DTranspose(4, 3, strides=2)(y))


@small
def autoencoder() -> Any:
    x = layers.Input((12, 12, 1))
    y = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.Dense(10, activation="selu")(layers.Flatten()(y))
    y = layers.Reshape((6, 6, 4))(layers.Dense(144, activation="relu")(y))
    return model(x, layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid")(y))


@small
def squeeze_excite() -> Any:
    x = layers.Input((10, 11, 6))
    y = layers.Conv2D(8, 3, padding="same", activation="hard_swish")(x)
    scale = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(y))
    scale = layers.Dense(8, activation="hard_sigmoid")(layers.Dense(4, activation="relu")(scale))
    return model(x, layers.Add()([layers.Multiply()([y, scale]), y]))


@small
def preprocessing() -> Any:
    x = layers.Input((13, 11, 3))
    y = layers.Rescaling(1 / 127.5, offset=-1)(x)
    y = layers.Resizing(16, 20)(layers.ZeroPadding2D(((1, 2), (0, 3)))(y))
    y = layers.CenterCrop(12, 12)(y)
    return model(x, layers.Conv2D(4, 3, activation="softplus")(y))


@small
def two_towers() -> Any:
    left, right = layers.Input((8, 8, 3)), layers.Input((8, 8, 3))
    shared = keras.Sequential([layers.Conv2D(5, 3, activation="relu"), layers.Flatten(), layers.Dense(6)])
    a, b = shared(left), shared(right)
    return model([left, right], [layers.Dot(1, normalize=True)([a, b]), layers.Subtract()([a, b])])
