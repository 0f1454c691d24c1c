"""An optimiser that Keras does not have, and that suits small convolutional networks."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("srcnn_tf")
class SOAP(keras.optimizers.Adam):
    """Adam along the directions in which a kernel's gradients vary.

    Adam gives every weight a step size of its own, as if weights varied one by one. In a
    convolution they do not: neighbouring taps move together, and so do maps that carry much the
    same. SOAP follows the covariance of the gradient along the axes of each kernel, turns the
    gradient into the eigenvectors of these covariances, lets Adam work there, and turns its step
    back. A kernel `[f, f, c, n]` has three axes here: f² taps, c inputs, n outputs. Biases and
    slopes train by Adam itself.

    Args:
        learning_rate: as for Adam.
        refresh: steps from one update of the eigenvectors to the next.
        memory: momentum of the covariances.
        epsilon: as for Adam; smaller than its default, as gradients of images in [0, 1] are.
        name: of the optimizer.
        **kwargs: Adam's other arguments.

    Reference: Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024,
    algorithm 3. Lesson 06 sets it beside Adam.
    """

    def __init__(
        self,
        learning_rate: float = 3e-3,
        refresh: int = 10,
        memory: float = 0.95,
        epsilon: float = 1e-12,
        name: str = "soap",
        **kwargs,
    ):
        """Keep the arguments."""
        super().__init__(learning_rate, epsilon=epsilon, name=name, **kwargs)
        self.refresh, self.memory = refresh, memory

    def build(self, variables):
        """Make covariances and eigenvectors for each kernel, beside Adam's moments."""
        if self.built:
            return
        super().build(variables)
        self._covariances, self._bases = {}, {}
        for variable in variables:
            if len(variable.shape) == 4:
                index = self._get_variable_index(variable)
                self._covariances[index], self._bases[index] = (
                    [
                        self.add_variable((size, size), start, name=f"{name}_{index}_{axis}")
                        for axis, size in enumerate(_axes(variable))
                    ]
                    for name, start in (
                        ("covariance", "zeros"),
                        ("basis", keras.initializers.Identity()),
                    )
                )

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable and what is remembered of it."""
        index = self._get_variable_index(variable)
        if index not in self._bases:
            super().update_step(gradient, variable, learning_rate)
            return
        covariances, bases = self._covariances[index], self._bases[index]
        mean, square = self._momentums[index], self._velocities[index]
        step = ops.cast(self.iterations + 1, variable.dtype)

        kernel = ops.reshape(gradient, _axes(variable))
        for axis, covariance in enumerate(covariances):
            others = [other for other in range(3) if other != axis]
            product = ops.tensordot(kernel, kernel, axes=[others, others])
            self.assign_add(covariance, (1 - self.memory) * (product - covariance))
        due = ops.equal(self.iterations % self.refresh, 0)
        before = [ops.convert_to_tensor(basis) for basis in bases]
        pairs = list(zip(before, covariances, strict=True))
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
        """Return what `from_config` needs."""
        return {**super().get_config(), "refresh": self.refresh, "memory": self.memory}


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
