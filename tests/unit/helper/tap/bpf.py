"""A classic BPF machine, as small as our programs need it (the instructions of linux/bpf_common.h that they use)."""

from collections.abc import Sequence

from helper.tap.linux import Instruction

SIZES = {0x20: 4, 0x28: 2, 0x40: 4, 0x48: 2}


def run(program: Sequence[Instruction], packet: bytes) -> int:
    """The number of bytes that the program lets pass; 0 drops. A load beyond the packet's end drops."""
    a = x = at = 0
    while True:
        code, if_true, if_false, k = program[at]
        at += 1
        match code:
            case 0x20 | 0x28 | 0x40 | 0x48:
                start = k + (x if code >= 0x40 else 0)
                if start + SIZES[code] > len(packet):
                    return 0
                a = int.from_bytes(packet[start : start + SIZES[code]])
            case 0xB1:
                if k >= len(packet):
                    return 0
                x = 4 * (packet[k] & 15)
            case 0x15:
                at += if_true if a == k else if_false
            case 0x45:
                at += if_true if a & k else if_false
            case 0x06:
                return k
            case _:
                raise AssertionError(f"instruction {code:#x} is none that the machine knows")
