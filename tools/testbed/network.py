"""One network namespace a node, all on one bridge, every link shaped in both directions.

    node n:  eth0 --------- pn  hub:  bridge br0
             htb: up rate   htb: down rate          cell k: ifb, htb: rate of the shared medium

What a node sends is queued at eth0, what it receives at the hub's port, as at a switch. Members of a cell send and
receive through one more queue, of the medium that they share; between two members a packet passes it twice, as by radio
through an access point. Each queue has two classes: small packets (requests, heartbeats, acknowledgements) go before bulk
ones, as in the fair queues of today's systems. The kernel adds up frames with their preamble, checksum and gap: 100 Mbit/s
carry 94 Mbit/s of TCP's payload.
"""
import dataclasses
import ipaddress
from dataclasses import dataclass

import commands
from commands import TestbedError

NETWORK = ipaddress.ip_network("10.77.0.0/16")
NODE_MAX = NETWORK.num_addresses - 3
MTU = 1500
# Preamble, checksum and gap between frames, which the kernel does not count.
FRAME_OVERHEAD = 24
# Packets of up to so many bytes are control.
CONTROL_SIZE = 256
# The part of a link that control packets can have for sure.
CONTROL_PART = 0.1
# A sender hands the link pieces of at most so long: who waits for a piece waits no longer.
PIECE_SECONDS = 0.0005
PIECE_BYTES_MAX = 65_536
BURST_SECONDS = 0.001
MBIT = 1_000_000
# The best first.
CONGESTION_CONTROLS = ("cubic", "reno")


@dataclass(frozen=True)
class Rates:
    """Of one link, in Mbit/s."""
    up_mbps: float
    down_mbps: float
    cell: int = 0


def address_of(number):
    return str(NETWORK[number + 1])


def class_lines(verb, device, mbps):
    """The three classes of a link: all, control, bulk."""
    bits = int(mbps * MBIT)
    burst = max(2 * MTU, int(bits / 8 * BURST_SECONDS))
    tail = f"ceil {bits}bit burst {burst} cburst {burst} quantum {MTU + 14} overhead {FRAME_OVERHEAD}"
    control = max(8000, int(bits * CONTROL_PART))
    lines = [("1:", "1:1", bits, 0), ("1:1", "1:10", control, 0), ("1:1", "1:20", max(8000, bits - control), 1)]
    return [f"class {verb} dev {device} parent {parent} classid {id} htb rate {rate}bit {tail}" +
            ("" if id == "1:1" else f" prio {priority}") for parent, id, rate, priority in lines]


def shaping_lines(device, mbps, buffer_bytes):
    mask = 0xFFFF & ~(CONTROL_SIZE - 1)
    return [f"qdisc add dev {device} root handle 1: htb default 20",
            *class_lines("add", device, mbps),
            f"qdisc add dev {device} parent 1:10 handle 10: pfifo limit 1000",
            f"qdisc add dev {device} parent 1:20 handle 20: bfifo limit {buffer_bytes}",
            # The length of the whole IP packet.
            f"filter add dev {device} parent 1: protocol ip prio 1 u32 match u16 0 {mask:#06x} at 2 flowid 1:10",
            f"filter add dev {device} parent 1: protocol arp prio 2 u32 match u32 0 0 flowid 1:10"]


def missing_features():
    """Why this machine cannot shape links: a text, empty if it can. Makes and removes a namespace of its own."""
    import owner
    name = owner.own_tag() + "-try"
    try:
        commands.run("ip", "netns", "add", name)
        commands.run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "p0")
        commands.run("ip", "-n", name, "link", "add", "br0", "type", "bridge")
        commands.batch("tc", name, shaping_lines("eth0", 100, 100_000))
    except TestbedError as error:
        return str(error).splitlines()[0]
    finally:
        commands.run("ip", "netns", "del", name, check=False)
    return ""


class Network:
    """Not removed here but by owner.remove(tag). All rates that it is told are divided by `dilation`."""

    def __init__(self, tag, cells=None, buffer_bytes=262_144, dilation=1.0):
        self.tag, self.buffer_bytes, self.dilation = tag, buffer_bytes, dilation
        self.cells = {cell: mbps / dilation for cell, mbps in (cells or {}).items()}
        self.hub = f"{tag}-hub"
        self.nodes = {}  # number: Rates
        commands.run("ip", "netns", "add", self.hub)
        commands.batch("ip", self.hub, ["link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
                                        "link set br0 addrgenmode none", "link set br0 up"])
        # A switch filters nothing. Only where the kernel's bridges can.
        for filtering in ("iptables", "ip6tables", "arptables"):
            commands.run("ip", "netns", "exec", self.hub, "sysctl", "-qw", f"net.bridge.bridge-nf-call-{filtering}=0",
                         check=False)
        for cell, mbps in self.cells.items():
            try:
                commands.batch("ip", self.hub, [f"link add cell{cell} type ifb", f"link set cell{cell} up"])
            except TestbedError as error:
                raise TestbedError(f"this kernel has no ifb device, which shared cells need: {error}") from None
            commands.batch("tc", self.hub, shaping_lines(f"cell{cell}", mbps, buffer_bytes))

    def namespace(self, number):
        return f"{self.tag}-{number}"

    def add(self, number, rates):
        if number > NODE_MAX or number in self.nodes:
            raise TestbedError(f"node {number} is already there, or more than the {NODE_MAX} that have an address")
        if rates.cell and rates.cell not in self.cells:
            raise TestbedError(f"node {number} hangs on cell {rates.cell}, which is not there")
        rates = dataclasses.replace(rates, up_mbps=rates.up_mbps / self.dilation,
                                    down_mbps=rates.down_mbps / self.dilation)
        name, port = self.namespace(number), f"p{number}"
        commands.run("ip", "netns", "add", name)
        commands.batch("ip", self.hub, [f"link add {port} type veth peer name eth0 netns {name}",
                                        f"link set {port} addrgenmode none",
                                        f"link set {port} master br0", f"link set {port} up"])
        commands.batch("ip", name, [f"addr add {address_of(number)}/{NETWORK.prefixlen} dev eth0",
                                    "link set eth0 addrgenmode none", "link set lo up", "link set eth0 up"])
        self.choose_congestion_control(name)
        commands.batch("tc", name, shaping_lines("eth0", rates.up_mbps, self.buffer_bytes))
        commands.batch("tc", self.hub, shaping_lines(port, rates.down_mbps, self.buffer_bytes))
        if rates.cell:
            redirect = f"protocol all u32 match u32 0 0 action mirred egress redirect dev cell{rates.cell}"
            commands.batch("tc", self.hub, [f"qdisc add dev {port} clsact",
                                            f"filter add dev {port} ingress {redirect}",
                                            f"filter add dev {port} egress {redirect}"])
        self.nodes[number] = rates

    def choose_congestion_control(self, namespace):
        """Linux's own choice; what this machine has chosen says nothing about devices. Some machines allow reno alone."""
        for control in CONGESTION_CONTROLS:
            done = commands.run("ip", "netns", "exec", namespace, "sysctl", "-qw",
                                f"net.ipv4.tcp_congestion_control={control}", check=False)
            if done.returncode == 0:
                return
        raise TestbedError(f"this machine allows none of {', '.join(CONGESTION_CONTROLS)}: {done.stderr.strip()}")

    def limit_pieces(self):
        """To be called when all nodes are there: nobody sends pieces that hold up the slowest link."""
        slowest = min([rate for rates in self.nodes.values() for rate in (rates.up_mbps, rates.down_mbps)] +
                      list(self.cells.values()))
        size = min(max(int(slowest * MBIT / 8 * PIECE_SECONDS * self.dilation), MTU + 36), PIECE_BYTES_MAX)
        for number in self.nodes:
            commands.run("ip", "-n", self.namespace(number), "link", "set", "eth0", "gso_max_size", size)

    def scale(self, number, factor):
        """Both rates of a node, as a factor of its own."""
        rates = self.nodes[number]
        commands.batch("tc", self.namespace(number), class_lines("change", "eth0", rates.up_mbps * factor))
        commands.batch("tc", self.hub, class_lines("change", f"p{number}", rates.down_mbps * factor))

    def cut(self, number):
        """Nobody hears the node any more, and it nobody; no connection is closed."""
        commands.run("ip", "-n", self.hub, "link", "set", f"p{number}", "nomaster")

    def mend(self, number):
        commands.run("ip", "-n", self.hub, "link", "set", f"p{number}", "master", "br0")

    def reset(self, number):
        """Closes every connection of the node with an error."""
        commands.run("ip", "netns", "exec", self.namespace(number), "ss", "-K", "state", "connected")

    def counters(self):
        """{number: {"up_bytes", "down_bytes", "dropped"}}: frames that went through the links' queues, and losses."""
        down = {item["dev"]: item for item in self.statistics(self.hub)}
        result = {}
        for number in self.nodes:
            up = {item["dev"]: item for item in self.statistics(self.namespace(number))}["eth0"]
            port = down[f"p{number}"]
            result[number] = {"up_bytes": up["bytes"], "down_bytes": port["bytes"],
                              "dropped": up["drops"] + port["drops"]}
        return result

    def cell_bytes(self):
        down = {item["dev"]: item for item in self.statistics(self.hub)}
        return {cell: down[f"cell{cell}"]["bytes"] for cell in self.cells}

    def statistics(self, namespace):
        """Of all root queues of a namespace."""
        return [item for item in commands.output_json("tc", "-n", namespace, "-s", "-j", "qdisc", "show")
                if item.get("kind") == "htb" and item.get("root")]
