"""One row at a time: memory that is bound to a session once and used again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SingleRow"]

Array = npt.NDArray[Any]

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class SingleRow:
    """Answers one row after another with one output of a session, through onnxruntime's IOBinding.

    session
        the session; its input is [n, n_features]
    output
        one of ``session.get_outputs()`` that `takes` accepts, [n, ...]
    valid
        the output [n] that tells which rows pass the file's checks, if they are to be asked

    ``session.run`` makes a tensor of its argument and arrays of its results at each call. Here they lie in memory that
    the session was told of before: the row is copied in, the answer is copied out, and nobody outside ever holds the
    memory that the next call overwrites.

    A call takes a set of bound memory from the shelf and puts it back at its end, so that threads never share one, nor
    a call and the signal handler that interrupts it. There come to be as many sets as there were calls at once.
    """

    __slots__ = ("_input", "_outputs", "_run", "_session", "_shelf")

    def __init__(self, session: Any, output: Any, valid: Any | None = None) -> None:
        self._session = session
        self._run = session.run_with_iobinding
        (self._input,) = session.get_inputs()
        self._outputs = [output] if valid is None else [output, valid]
        self._shelf: list[tuple[Array, Any, Array, Array]] = []

    @staticmethod
    def takes(output: Any) -> bool:
        """Tell whether memory can be bound to an output: not to strings, nor to sizes that are not known before."""
        return output.type in _TYPES and all(isinstance(size, int) for size in output.shape[1:])

    def answer(self, row: Array) -> tuple[Array, bool]:
        """Return the output for a row [1, n_features] as an array [1, ...] of the caller's own, and if it is valid."""
        try:
            taken = self._shelf.pop()  # one step, as append is, whatever other threads do
        except IndexError:
            taken = self._bind()
        memory, binding, answer, valid = taken
        memory[...] = row
        self._run(binding)
        found, passed = answer.copy(), valid.item()
        self._shelf.append(taken)
        return found, passed

    def _bind(self) -> tuple[Array, Any, Array, Array]:
        """Return memory for a row, its binding to the session, and memory for the answer and whether it is valid."""
        binding = self._session.io_binding()
        memory = _memory(self._input)
        binding.bind_input(self._input.name, "cpu", 0, memory.dtype.type, memory.shape, memory.ctypes.data)
        answers = [_memory(output) for output in self._outputs]
        for output, array in zip(self._outputs, answers, strict=True):
            binding.bind_output(output.name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return memory, binding, answers[0], answers[1] if len(answers) > 1 else np.ones(1, dtype=bool)


def _memory(entry: Any) -> Array:
    """Return zeros of the type and shape of an input or output, for one row."""
    return np.zeros((1, *entry.shape[1:]), _TYPES[entry.type])
