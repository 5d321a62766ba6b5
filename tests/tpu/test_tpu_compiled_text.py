"""Reading collectives and host operations out of a compiled module."""

from tpu import compiled_text
from tpu.compiled_text import Collective

# Lines as libtpu prints them, shortened.
MODULE = """
HloModule step, is_scheduled=true
ENTRY %main (a: f32[2,64]) -> f32[2,64] {
  %all-reduce = f32[2,64]{1,0:T(2,128)S(1)} all-reduce(%fusion.21), \
channel_id=1, replica_groups={{0,1,2,3}}, to_apply=%add
  %all-reduce.1 = (f32[3]{0:T(128)}, bf16[4,5]{1,0}) all-reduce(%x, %y), \
channel_id=2, replica_groups=[1,4]<=[4], to_apply=%add
  %all-reduce.2 = f32[]{:T(128)} all-reduce(%z), channel_id=3, \
replica_groups={{0,1},{2,3}}, to_apply=%add
  %all-gather-start.5 = (f32[8,2]{1,0}, f32[32,2]{1,0}) \
all-gather-start(%w), channel_id=4, replica_groups={}, dimensions={0}
  %all-gather-done = f32[32,2]{1,0} all-gather-done(%all-gather-start.5)
  %gte = f32[3]{0} get-tuple-element(%all-reduce.1), index=0, \
metadata={op_name="a/all-reduce(b)"}
  ROOT %t = pred[7]{0} all-gather(%v), replica_groups={}, dimensions={0}
}
"""


def test_collectives_by_kind_and_group():
    found = compiled_text.collectives(MODULE, num_replicas=4)
    assert found == [
        Collective("all-gather", 4, 2, 32 * 2 * 4 + 7),
        Collective("all-reduce", 2, 1, 4),
        Collective("all-reduce", 4, 2, 2 * 64 * 4 + 3 * 4 + 4 * 5 * 2),
    ]


def test_all_replicas_must_meet():
    found = compiled_text.collectives(MODULE, num_replicas=4)
    crosses = compiled_text.crosses_all_replicas
    assert crosses(found, num_replicas=4)
    pairs = [c for c in found if c.group_size == 2]
    assert not crosses(pairs, num_replicas=4)
    assert not crosses([], num_replicas=4)


def test_host_operations_are_named():
    assert compiled_text.host_operations(MODULE) == []
    talks = MODULE + (
        '  %c = f32[] custom-call(%a), custom_call_target="tpu_callback"\n'
        "  %o = token[] outfeed(%a, %token)\n"
        "  %s = (f32[], u32[], token[]) send(%a, %t), is_host_transfer=true\n"
    )
    assert compiled_text.host_operations(talks) == [
        "is_host_transfer=true",
        "outfeed",
        "tpu_callback",
    ]
