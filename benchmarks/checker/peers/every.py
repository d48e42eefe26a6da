"""The checkers beside softgrad's, by name; each says which cases it takes and how it is called."""

from benchmarks.checker.peers.coordinates import COORDINATES, COORDINATES_STRICT
from benchmarks.checker.peers.jax import JAX
from benchmarks.checker.peers.peer import Peer
from benchmarks.checker.peers.scipy import SCIPY
from benchmarks.checker.peers.torch import TORCH_FAST, TORCH_SLOW

__all__ = ["PEERS", "Peer"]

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (TORCH_SLOW, TORCH_FAST, JAX, SCIPY, COORDINATES, COORDINATES_STRICT)
}
