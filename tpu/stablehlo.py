"""What TensorFlow lowers, as a module that jax's clients compile.

Needs jax, and no TensorFlow.
"""


def parse(module: bytes):
    """A serialised HLO module as StableHLO, in the MLIR context of the caller.

    Args:
        module: as `tpu.compiler.lower` gives it.
    """
    from jax._src.lib.mlir import ir
    from jaxlib import _jax

    parsed = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(module))
    _drop_copies(parsed, ir)
    return parsed


def replaced_parameters(parsed) -> list[int]:
    """Which parameter each result is the new value of, in their order.

    Of variables, TensorFlow gives back those that the program writes.

    Args:
        parsed: of `parse`, in its MLIR context.
    """
    from jax._src.lib.mlir import ir

    aliases = parsed.operation.attributes["mhlo.input_output_alias"]
    found = {}
    for each in map(ir.DictAttr, aliases):
        [output] = ir.DenseI64ArrayAttr(each["output_index"])
        alias = ir.DictAttr(each["alias"])
        found[output] = ir.IntegerAttr(alias["parameter_number"]).value
    return [found[output] for output in sorted(found)]


def portable(module: bytes) -> bytes:
    """A serialised HLO module as StableHLO that later jaxlibs read, too.

    Args:
        module: as `tpu.compiler.lower` gives it.

    Raises:
        ValueError: it holds an operation that StableHLO hasn't.
    """
    from jax._src.interpreters import mlir
    from jaxlib.mlir.dialects import stablehlo

    with mlir.make_ir_context():
        parsed = parse(module)
        version = stablehlo.get_current_version()
        return stablehlo.serialize_portable_artifact(parsed, version)


def _drop_copies(module, ir):
    """TensorFlow's copies of results are identities, foreign to StableHLO."""
    copies = []

    def visit(operation):
        if operation.name == "mhlo.copy":
            copies.append(operation.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for copy in copies:
        copy.results[0].replace_all_uses_with(copy.operands[0])
        copy.erase()
