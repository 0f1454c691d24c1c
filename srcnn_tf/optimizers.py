"""Optimizers by name, and those that Keras lacks: SOAP, a rate for each layer, clipping by rate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import tensorflow as tf
from keras import ops

from srcnn_tf.ranges import check_number


class _ByVariable:
    """Values by variable, whichever of a variable's faces an optimizer is shown.

    Keras builds an optimizer on its own variables, and updates TensorFlow's inside them; under
    `tf.distribute`, the one on each device.
    """

    def __init__(self, variables: Sequence[keras.Variable], values: Sequence):
        self._values = {}
        for variable, value in zip(variables, values, strict=True):
            inner = _inner(variable)
            for part in (inner, *getattr(inner, "values", ())):
                self._values[part.ref()] = value

    def __getitem__(self, variable):
        return self._values[_inner(variable).ref()]


def _inner(variable):
    return variable.value if isinstance(variable, keras.Variable) else variable


@keras.saving.register_keras_serializable("srcnn_tf")
class LayerRates(keras.optimizers.Optimizer):
    """An optimizer with a factor of its learning rate for each variable.

    Under `tf.distribute`, it clips the gradient of the whole batch.

    Args:
        optimizer: does the steps. Rate, clipping and averaging are arguments of `LayerRates`;
            its own are not looked at.
        factors: one for each variable, in their order.
        learning_rate: what the factors multiply.
        name: of the optimizer.
        **kwargs: other arguments of `keras.optimizers.Optimizer`.

    The SRCNN paper trains its last layer at a tenth of the others' rate (section 3.3). Compared in
    lesson 06.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        factors: Sequence[float],
        learning_rate: float = 1e-3,
        name: str = "layer_rates",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.optimizer, self.factors = optimizer, list(factors)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.optimizer.build(variables)
        self._factors = _ByVariable(variables, self.factors)

    @property
    def variables(self):
        return [*super().variables, *self.optimizer.variables]

    def apply(self, grads, trainable_variables=None):
        if self.built:
            self.optimizer.iterations.assign(self.iterations)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:  # Keras would clip what each has found before it is added up
            grads = tf.distribute.get_replica_context().all_reduce("SUM", grads)
            if self.global_clipnorm:
                grads, _ = tf.clip_by_global_norm(grads, self.global_clipnorm)
            grads = [gradient / replicas for gradient in grads]
        return super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        self.optimizer.update_step(gradient, variable, learning_rate * self._factors[variable])

    def get_config(self):
        optimizer = keras.saving.serialize_keras_object(self.optimizer)
        return {**super().get_config(), "optimizer": optimizer, "factors": self.factors}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects)
        return super().from_config({**config, "optimizer": optimizer}, custom_objects)


@keras.saving.register_keras_serializable("srcnn_tf")
class AdjustablyClippedSGD(keras.optimizers.SGD):
    """SGD that clips each number of the gradient to ±θ/γ, where γ is the current learning rate.

    However high the rate, a gradient moves no weight by more than θ; as the rate falls, more of the
    gradient passes.

    Args:
        theta: θ. The paper does not state its own.
        learning_rate: γ at the start.
        momentum: as for SGD.
        name: of the optimizer.
        **kwargs: other arguments of `keras.optimizers.SGD`.

    Raises:
        ValueError: `theta` is no number above 0.

    Reference: Kim et al., CVPR 2016 (VDSR), section 3.2.
    """

    def __init__(
        self,
        theta: float = 0.01,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        name: str = "adjustably_clipped_sgd",
        **kwargs,
    ):
        check_number("theta", theta, above=0)
        super().__init__(learning_rate, momentum, name=name, **kwargs)
        self.theta = theta

    def update_step(self, gradient, variable, learning_rate):
        limit = self.theta / ops.cast(learning_rate, gradient.dtype)
        super().update_step(ops.clip(gradient, -limit, limit), variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "theta": self.theta}


@dataclass(frozen=True)
class _Memory:
    """What SOAP remembers of one variable; for a kernel, a covariance and a basis of each axis."""

    mean: keras.Variable
    square: keras.Variable
    covariances: Sequence[keras.Variable] = ()
    bases: Sequence[keras.Variable] = ()


@keras.saving.register_keras_serializable("srcnn_tf")
class SOAP(keras.optimizers.Optimizer):
    """Adam along the directions in which a kernel's gradients vary.

    Adam gives every weight a step size of its own, as if weights varied one by one. In a
    convolution they do not: neighbouring taps move together, and so do maps that carry much the
    same. SOAP follows the covariance of the gradient along the axes of each kernel, turns the
    gradient into the eigenvectors of these covariances, lets Adam work there, and turns its step
    back. A kernel `[f, f, c, n]` has three axes here: f² taps, c inputs, n outputs. Biases and
    slopes train by Adam itself.

    Args:
        learning_rate: as for Adam.
        beta_1: momentum of the gradient's mean, as for Adam.
        beta_2: momentum of its square, as for Adam.
        shampoo_beta: momentum of the covariances.
        precondition_frequency: steps from one update of the eigenvectors to the next.
        epsilon: as for Adam; smaller than its default, as gradients of images in [0, 1] are.
        name: of the optimizer.
        **kwargs: other arguments of `keras.optimizers.Optimizer`.

    Reference: Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024,
    algorithm 3. Lesson 06 sets it beside Adam.
    """

    def __init__(
        self,
        learning_rate: float = 3e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        shampoo_beta: float = 0.95,
        precondition_frequency: int = 10,
        epsilon: float = 1e-12,
        name: str = "soap",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.shampoo_beta, self.precondition_frequency = shampoo_beta, precondition_frequency

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._memories = _ByVariable(variables, [self._memory(v) for v in variables])

    def _memory(self, variable: keras.Variable) -> _Memory:
        """Make covariances and bases for a kernel, beside Adam's moments."""
        mean = self.add_variable_from_reference(variable, "momentum")
        square = self.add_variable_from_reference(variable, "velocity")
        if len(variable.shape) != 4:
            return _Memory(mean, square)
        sizes, identity = _axes(variable), keras.initializers.Identity()
        covariances = [self.add_variable((n, n), "zeros", name=f"covariance_{n}") for n in sizes]
        bases = [self.add_variable((n, n), identity, name=f"basis_{n}") for n in sizes]
        return _Memory(mean, square, covariances, bases)

    def update_step(self, gradient, variable, learning_rate):
        memory = self._memories[variable]
        update = self._adam_step if not memory.bases else self._kernel_step
        update(gradient, variable, ops.cast(learning_rate, variable.dtype), memory)

    def _adam_step(self, gradient, variable, learning_rate, memory: _Memory):
        step = ops.cast(self.iterations + 1, variable.dtype)
        bias_1, bias_2 = 1 - ops.power(self.beta_1, step), 1 - ops.power(self.beta_2, step)
        self.assign_add(memory.mean, (gradient - memory.mean) * (1 - self.beta_1))
        self.assign_add(memory.square, (ops.square(gradient) - memory.square) * (1 - self.beta_2))
        alpha = learning_rate * ops.sqrt(bias_2) / bias_1
        self.assign_sub(variable, memory.mean * alpha / (ops.sqrt(memory.square) + self.epsilon))

    def _kernel_step(self, gradient, variable, learning_rate, memory: _Memory):
        step = ops.cast(self.iterations + 1, variable.dtype)
        mean, square, bases = memory.mean, memory.square, memory.bases
        kernel = ops.reshape(gradient, _axes(variable))
        for axis, covariance in enumerate(memory.covariances):
            others = [other for other in range(3) if other != axis]
            product = ops.tensordot(kernel, kernel, axes=[others, others])
            self.assign_add(covariance, (1 - self.shampoo_beta) * (product - covariance))
        due = ops.equal(self.iterations % self.precondition_frequency, 0)
        before = [ops.convert_to_tensor(basis) for basis in bases]
        pairs = list(zip(before, memory.covariances, strict=True))
        after = ops.cond(due, lambda: [_towards_eigenvectors(*p) for p in pairs], lambda: before)
        for basis, value in zip(bases, after, strict=True):
            self.assign(basis, value)

        turned = _turn(kernel, bases)
        self.assign_add(mean, (1 - self.beta_1) * (gradient - mean))
        self.assign_add(square, (1 - self.beta_2) * (ops.reshape(turned**2, square.shape) - square))
        turned_mean = _turn(ops.reshape(mean, kernel.shape), bases)
        turned_step = (turned_mean / (1 - self.beta_1**step)) / (
            ops.sqrt(ops.reshape(square, kernel.shape) / (1 - self.beta_2**step)) + self.epsilon
        )
        update = ops.reshape(_turn(turned_step, bases, back=True), variable.shape)
        self.assign_sub(variable, learning_rate * update)

    def get_config(self):
        names = ("beta_1", "beta_2", "shampoo_beta", "precondition_frequency", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _axes(variable) -> tuple[int, int, int]:
    """Return (taps, inputs, outputs) of a kernel."""
    height, width, inputs, outputs = variable.shape
    return height * width, inputs, outputs


def _turn(kernel, bases, back: bool = False):
    """Express `[taps, inputs, outputs]` in the bases, or bring it back."""
    for basis in bases:  # contracts the first axis and puts the new one last: a full circle
        kernel = ops.tensordot(kernel, ops.convert_to_tensor(basis), axes=[[0], [int(back)]])
    return kernel


def _towards_eigenvectors(basis, covariance):
    """Make one step of the power method: multiply, then orthonormalise."""
    size = basis.shape[0]
    if size == 1:
        return basis
    covariance = ops.convert_to_tensor(covariance)
    # Where no gradient flows, the identity keeps the columns apart.
    scaled = covariance / (ops.trace(covariance) + 1e-30) + 1e-7 * ops.eye(size)
    return ops.qr(scaled @ basis)[0]


OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "soap": SOAP,
    "sgd": partial(keras.optimizers.SGD, momentum=0.9),
}
