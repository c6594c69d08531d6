// Workers under load while everything changes beneath them: what ThreadSanitizer and
// AddressSanitizer look at (scripts/native-tsan, scripts/native-asan).
//
//   taps 1-4 ── dataplane A, 3 workers ── 127.0.0.1 ── UDP ── 127.0.0.2 ── dataplane B, 2 workers
//   ── taps 5-8
//
// In a network namespace of its own. Sender threads write frames of many sorts into the TAPs by
// packet sockets; the control thread applies batches, closes and opens ports, deletes interfaces,
// reads counters, and at last stops both data planes while the senders go on. It claims that
// nothing races, leaks or crashes, and that frames arrived on every way; how many is not its
// matter.
//
//   storm [SECONDS]      2 when not told; exit 77 where no namespace can be made

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../dataplane.h"
#include "../fuzz/table_batch.h"
#include "../io/virtio_net.h"
#include "../wire/arp.h"
#include "../wire/ethernet.h"
#include "../wire/ip.h"
#include "../wire/transport.h"

namespace weft {
namespace {

using fuzz::BatchWriter;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kSkipped = 77;  // automake's, and what the scripts take for it
constexpr uint32_t kVni = 100;
constexpr uint32_t kOtherVni = 101;
constexpr uint8_t kEndpoints = 8;
constexpr uint8_t kGateway = 254;
constexpr uint8_t kVip = 200;
// Of the unknown destinations that rows come and go for.
constexpr uint8_t kStrangers = 20;

[[noreturn]] void Die(const char* what) {
  fprintf(stderr, "storm: %s: %s\n", what, strerror(errno));
  exit(1);
}

MacAddress MacOf(uint8_t host) { return {{0x02, 0x42, 10, 0, 0, host}}; }

// The kernel's side: TAPs, and packet sockets on them.

void SetUp(const char* name) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) Die(name);
  close(fd);
}

int OpenTap(const std::string& name) {
  const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) Die("/dev/net/tun");
  ifreq request{};
  strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(fd, TUNSETIFF, &request) != 0) Die("TUNSETIFF");
  SetUp(name.c_str());
  return fd;
}

int OpenPacketSocket(const std::string& name) {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  sockaddr_ll local{};
  local.sll_family = AF_PACKET;
  local.sll_protocol = htons(ETH_P_ALL);
  local.sll_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
  if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) {
    Die("packet socket");
  }
  return fd;
}

std::string TapName(int number) { return "storm" + std::to_string(number); }

// Frames.

struct Outgoing {
  std::vector<uint8_t> bytes;  // VnetHeader, then the frame

  VnetHeader* vnet() { return reinterpret_cast<VnetHeader*>(bytes.data()); }
  template <typename T>
  T* At(size_t offset) {
    return reinterpret_cast<T*>(bytes.data() + sizeof(VnetHeader) + offset);
  }
};

Outgoing NewFrame(uint8_t from, const MacAddress& to, uint16_t type, size_t length) {
  Outgoing frame;
  frame.bytes.resize(sizeof(VnetHeader) + length);
  auto* ethernet = frame.At<EthernetHeader>(0);
  ethernet->destination = to;
  ethernet->source = MacOf(from);
  ethernet->type.Set(type);
  return frame;
}

Outgoing Ipv4Frame(uint8_t from, const MacAddress& to, uint8_t to_subnet, uint8_t to_host,
                   uint8_t protocol, uint8_t ttl, size_t payload) {
  constexpr size_t kIp = sizeof(EthernetHeader);
  Outgoing frame = NewFrame(from, to, kEtherTypeIpv4, kIp + sizeof(Ipv4Header) + payload);
  auto* ip = frame.At<Ipv4Header>(kIp);
  ip->version_and_words = 0x45;
  ip->total_length.Set(static_cast<uint32_t>(sizeof(Ipv4Header) + payload));
  ip->ttl = ttl;
  ip->protocol = protocol;
  const uint8_t source[4] = {10, 0, 0, from};
  const uint8_t destination[4] = {10, 0, to_subnet, to_host};
  memcpy(ip->source, source, 4);
  memcpy(ip->destination, destination, 4);
  return frame;
}

Outgoing Superframe(uint8_t from, uint8_t to) {
  constexpr size_t kTcp = sizeof(EthernetHeader) + sizeof(Ipv4Header);
  Outgoing frame = Ipv4Frame(from, MacOf(to), 0, to, kProtocolTcp, 64, sizeof(TcpHeader) + 20000);
  auto* tcp = frame.At<TcpHeader>(kTcp);
  tcp->words_and_reserved = 0x50;
  tcp->flags = kTcpAck;
  *frame.vnet() = {.flags = kVnetNeedsChecksum,
                   .gso_type = kVnetGsoTcpV4,
                   .header_length = kTcp + sizeof(TcpHeader),
                   .gso_size = 1410,
                   .checksum_start = kTcp,
                   .checksum_offset = 16};
  return frame;
}

Outgoing ArpRequest(uint8_t from, uint8_t to) {
  constexpr size_t kArp = sizeof(EthernetHeader);
  const MacAddress all{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  Outgoing frame = NewFrame(from, all, kEtherTypeArp, kArp + sizeof(ArpPacket));
  auto* arp = frame.At<ArpPacket>(kArp);
  arp->hardware_type.Set(1);
  arp->protocol_type.Set(kEtherTypeIpv4);
  arp->hardware_length = 6;
  arp->protocol_length = 4;
  arp->operation.Set(kArpRequest);
  arp->sender_mac = MacOf(from);
  const uint8_t sender[4] = {10, 0, 0, from};
  const uint8_t target[4] = {10, 0, 0, to};
  memcpy(arp->sender_ip, sender, 4);
  memcpy(arp->target_ip, target, 4);
  return frame;
}

Outgoing UdpFrame(uint8_t from, uint8_t to, uint16_t source_port, uint16_t destination_port) {
  Outgoing frame = Ipv4Frame(from, MacOf(to), 0, to, kProtocolUdp, 64, sizeof(UdpHeader) + 100);
  auto* udp = frame.At<UdpHeader>(sizeof(EthernetHeader) + sizeof(Ipv4Header));
  udp->source_port.Set(source_port);
  udp->destination_port.Set(destination_port);
  udp->length.Set(sizeof(UdpHeader) + 100);
  return frame;
}

Outgoing AnyFrame(std::mt19937* random, uint8_t from) {
  const auto below = [&](uint32_t limit) { return static_cast<uint8_t>((*random)() % limit); };
  const auto to = static_cast<uint8_t>(1 + below(kEndpoints));
  switch (below(11)) {
    case 8:  // to the VIP, and what may be an answer to another's question
    case 9:
      return UdpFrame(from, kVip, 5000 + below(16), 53);
    case 10:
      return UdpFrame(from, to, 53, 5000 + below(16));
    case 0:
      return ArpRequest(from, to);
    case 1:
      return Superframe(from, to);
    case 2:  // a group: flooded
      return Ipv4Frame(from, {{0x01, 0, 0x5e, 0, 0, 0xfb}}, 0, 251, kProtocolUdp, 1, 100);
    case 3:  // time exceeded
      return Ipv4Frame(from, MacOf(kGateway), 1, 9, kProtocolUdp, 1, 100);
    case 4:  // routed, or no such host
      return Ipv4Frame(from, MacOf(kGateway), 1, to, kProtocolUdp, 64, 100);
    case 5:  // rows for these come and go
      return Ipv4Frame(from, MacOf(static_cast<uint8_t>(100 + below(kStrangers))), 0, 9,
                       kProtocolUdp, 64, 100);
    default:
      return Ipv4Frame(from, MacOf(to), 0, to, kProtocolUdp, 64, 200);
  }
}

void Send(const std::atomic<bool>* stop, int fd, uint8_t from, std::atomic<uint64_t>* arrived) {
  std::mt19937 random(from);
  uint8_t buffer[2048];
  while (!stop->load()) {
    const Outgoing frame = AnyFrame(&random, from);
    [[maybe_unused]] const ssize_t sent =
        send(fd, frame.bytes.data(), frame.bytes.size(), MSG_DONTWAIT);
    sockaddr_ll source{};
    socklen_t length = sizeof(source);
    while (recvfrom(fd, buffer, sizeof(buffer), MSG_TRUNC, reinterpret_cast<sockaddr*>(&source),
                    &length) > 0) {
      if (source.sll_pkttype != PACKET_OUTGOING) arrived->fetch_add(1);
    }
  }
}

// Our side: two data planes and their tables.

struct Side {
  const char* address;
  const char* peer;
  int workers;
  uint8_t first;  // its endpoints: first to first + 3
  PortId ports[4] = {};
  std::unique_ptr<Dataplane> dataplane = nullptr;
  std::atomic<int> gone = 0;

  bool Has(uint8_t host) const { return host >= first && host < first + 4; }
};

VtepAddress Address(const char* text) { return inet_addr(text); }

void PutNetwork(BatchWriter* w, const Side& side, uint32_t vni, uint8_t subnet, bool flooded) {
  w->Put(TableId::kNetwork).U32(vni).U32(1).U32(kVni).U16(1450);
  w->Raw({0x02, 0x42, 10, 0, 0, kGateway}).Ip4({10, 0, subnet, kGateway}).Ip4({0, 0, 0, 0});
  w->Raw({1});  // has VIPs
  const uint32_t ports = vni == kVni ? 4 : 0;
  w->U32(ports);
  for (uint32_t i = 0; i < ports; i++) w->U32(side.ports[i]);
  w->U32(flooded ? 1 : 0);
  if (flooded) w->U32(Address(side.peer));
  w->U32(1).U32(Address(side.peer));  // whoever it says it is
}

void PutFdb(BatchWriter* w, const Side& side, uint32_t vni, uint8_t host) {
  w->Put(TableId::kFdb).U32(vni).Raw({0x02, 0x42, 10, 0, 0, host}).U32(host);
  if (side.Has(host)) {
    w->U32(side.ports[host - side.first]).U32(0);
  } else {
    w->U32(0).U32(Address(side.peer));
  }
}

void RemoveFdb(BatchWriter* w, uint32_t vni, uint8_t host) {
  w->Finish();
  w->Raw({2, static_cast<uint8_t>(TableId::kFdb), 10, 0, 0, 0})
      .U32(vni)
      .Raw({0x02, 0x42, 10, 0, 0, host});
  w->Finish();
}

void PutNeighbour(BatchWriter* w, uint32_t vni, uint8_t subnet, uint8_t host) {
  w->Put(TableId::kNeighbour).U32(vni).Ip4({10, 0, subnet, host}).U32(host);
  w->Raw({0x02, 0x42, 10, 0, 0, host, static_cast<uint8_t>(host == kGateway ? 1 : 0)});
}

// All endpoints are its backends, some of them dead.
void PutService(BatchWriter* w, uint32_t states, Scheduler scheduler) {
  w->Put(TableId::kService).U32(kVni).Ip4({10, 0, 0, kVip});
  w->Service(7, {0x02, 0x42, 10, 0, 0, kVip}, scheduler, kEndpoints);
  for (uint8_t host = 1; host <= kEndpoints; host++) {
    const bool dead = (states >> host & 1) != 0;
    w->U32(host).Ip4({10, 0, 0, host});
    w->Backend(kVni, 1, dead ? BackendState::kDead : BackendState::kHealthy);
  }
}

void Apply(Side* side, BatchWriter* w) {
  const std::vector<uint8_t>& batch = w->Finish();
  if (!side->dataplane->Apply(batch.data(), batch.size())) {
    fprintf(stderr, "storm: a batch was refused\n");
    exit(1);
  }
}

void PutAll(Side* side) {
  BatchWriter w;
  w.Put(TableId::kVtep).U32(Address(side->peer)).U32(1);
  w.Put(TableId::kRouter).U32(kVni).U32(1).U32(2);
  w.Ip4({10, 0, 0, 0}).Raw({120}).U32(kVni).Ip4({10, 0, 1, 0}).Raw({120}).U32(kOtherVni);
  w.U32(1).Ip4({10, 0, 0, kGateway});
  PutNetwork(&w, *side, kVni, 0, true);
  PutNetwork(&w, *side, kOtherVni, 1, true);
  PutNeighbour(&w, kVni, 0, kGateway);
  PutService(&w, 0, Scheduler::kRoundRobin);
  for (uint8_t host = 1; host <= kEndpoints; host++) {
    PutNeighbour(&w, kVni, 0, host);
    PutNeighbour(&w, kOtherVni, 1, host);
    PutFdb(&w, *side, kVni, host);
    PutFdb(&w, *side, kOtherVni, host);
  }
  for (const PortId port : side->ports) w.Put(TableId::kPort).U32(port).U32(1).U32(kVni);
  Apply(side, &w);
}

void OpenPort(Side* side, int index, PortId port, const std::string& tap) {
  std::string error;
  if (!side->dataplane->OpenTap(port, OpenTap(tap), &error)) {
    fprintf(stderr, "storm: %s\n", error.c_str());
    exit(1);
  }
  side->ports[index] = port;
}

void Start(Side* side) {
  side->dataplane = std::make_unique<Dataplane>(Dataplane::Options{
      .address = Address(side->address), .vxlan_port = 4789, .workers = side->workers});
  std::string error;
  if (side->dataplane->Start([side](PortId) { side->gone.fetch_add(1); }, {}, &error) != 0) {
    fprintf(stderr, "storm: %s\n", error.c_str());
    exit(1);
  }
  side->dataplane->Run();
  for (int i = 0; i < 4; i++) {
    const int number = side->first + i;
    OpenPort(side, i, static_cast<PortId>(number), TapName(number));
  }
  PutAll(side);
}

// One round of what a control thread does, at a higher rate than it ever will.
void Change(Side* side, std::mt19937* random, int round) {
  BatchWriter w;
  PutNetwork(&w, *side, kVni, 0, round % 3 != 0);
  for (int i = 0; i < 5; i++) {
    const auto stranger = static_cast<uint8_t>(100 + (*random)() % kStrangers);
    if ((*random)() % 2 == 0) {
      PutFdb(&w, *side, kVni, stranger);
    } else {
      RemoveFdb(&w, kVni, stranger);
    }
    PutNeighbour(&w, kOtherVni, 1, stranger);
  }
  PutFdb(&w, *side, kVni, side->first);
  if (round % 10 == 0) {
    const auto scheduler = round % 20 == 0 ? Scheduler::kLeastConnections : Scheduler::kRoundRobin;
    PutService(&w, (*random)(), scheduler);
  }
  Apply(side, &w);
  uint32_t place = 0;
  for (const Flow& flow : side->dataplane->Flows(&place)) {
    if (flow.service != 7) {
      fprintf(stderr, "storm: a flow that is none\n");
      exit(1);
    }
  }
  uint64_t sum = 0;
  for (size_t i = 0; i < kCounterCount; i++) sum += side->dataplane->CounterSum(i);
  const Port::Traffic* traffic = side->dataplane->TrafficOf(side->ports[0]);
  if (traffic != nullptr) sum += traffic->rx_frames.load();
  if (sum == UINT64_MAX) puts("");  // so that it is read
  side->dataplane->Collect();
}

// The last endpoint of A goes and comes back on another port, as at a detach and an attach.
void Replug(Side* side, PortId* next) {
  BatchWriter gone;
  RemoveFdb(&gone, kVni, static_cast<uint8_t>(side->first + 3));
  Apply(side, &gone);
  side->dataplane->ClosePort(side->ports[3]);
  const PortId port = (*next)++;
  OpenPort(side, 3, port, "again" + std::to_string(port));
  PutAll(side);
}

uint64_t Count(const Side& side, Counter counter) {
  return side.dataplane->CounterSum(static_cast<size_t>(counter));
}

int Report(const Side& side) {
  struct {
    Counter counter;
    const char* what;
  } const wanted[] = {
      {Counter::tap_rx_frames, "frames from its endpoints"},
      {Counter::tap_tx_frames, "frames to its endpoints"},
      {Counter::underlay_rx_datagrams, "datagrams in"},
      {Counter::underlay_tx_datagrams, "datagrams out"},
      {Counter::handed_over, "frames between workers"},
      {Counter::superframes_cut, "superframes cut"},
      {Counter::trains_sent, "trains sent"},
      {Counter::superframes_joined, "superframes joined"},
      {Counter::arp_answered, "ARP answers"},
      {Counter::icmp_errors_sent, "ICMP errors"},
      {Counter::routed, "frames routed"},
      {Counter::flooded, "frames flooded"},
      {Counter::vip_flows, "flows to a VIP"},
      {Counter::vip_flows_repinned, "flows to another backend"},
      {Counter::vip_translated, "frames translated"},
  };
  int missing = 0;
  for (const auto& [counter, what] : wanted) {
    const uint64_t count = Count(side, counter);
    printf("%s  %9llu %s\n", side.address, static_cast<unsigned long long>(count), what);
    if (count == 0) missing++;
  }
  return missing;
}

bool EnterNamespace() {
  if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  SetUp("lo");
  // Its router solicitations would be frames that nobody sent.
  const int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    [[maybe_unused]] const ssize_t written = write(fd, "1", 1);
    close(fd);
  }
  return true;
}

int Run(int seconds) {
  if (!EnterNamespace()) {
    printf("storm: no network namespace can be made here\n");
    return kSkipped;
  }
  Side a{.address = "127.0.0.1", .peer = "127.0.0.2", .workers = 3, .first = 1};
  Side b{.address = "127.0.0.2", .peer = "127.0.0.1", .workers = 2, .first = 5};
  Start(&a);
  Start(&b);

  std::atomic<bool> stop = false;
  std::atomic<uint64_t> arrived[kEndpoints + 1] = {};
  std::vector<std::thread> senders;
  std::vector<int> sockets;
  // The fourth endpoint of A comes and goes; nobody sits on it.
  for (const uint8_t host : {1, 2, 3, 5, 6, 7, 8}) {
    sockets.push_back(OpenPacketSocket(TapName(host)));
    senders.emplace_back(Send, &stop, sockets.back(), host, &arrived[host]);
  }

  std::mt19937 random(1);
  PortId next = 1000;
  const auto end = steady_clock::now() + std::chrono::seconds(seconds);
  int rounds = 0;
  for (; steady_clock::now() < end; rounds++) {
    Change(&a, &random, rounds);
    Change(&b, &random, rounds);
    if (rounds % 50 == 49) Replug(&a, &next);
    std::this_thread::sleep_for(milliseconds(1));
  }
  // An interface deleted under its port: the worker says so.
  if (system(("ip link delete " + TapName(8)).c_str()) != 0) puts("storm: no ip(8) here");
  for (int i = 0; i < 1000 && b.gone.load() == 0; i++) std::this_thread::sleep_for(milliseconds(2));

  int missing = b.gone.load() == 0 ? 1 : 0;
  printf("%d rounds of changes, %d interface(s) gone\n", rounds, b.gone.load());
  for (const Side* side : {&a, &b}) missing += Report(*side);
  a.dataplane->Stop();
  b.dataplane->Stop();
  stop.store(true);
  for (std::thread& sender : senders) sender.join();
  for (const int fd : sockets) close(fd);
  for (const uint8_t host : {1, 2, 3, 5, 6, 7}) {
    if (arrived[host].load() == 0) missing++;
  }
  if (missing > 0) fprintf(stderr, "storm: %d way(s) on which nothing came\n", missing);
  return missing > 0 ? 1 : 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) { return weft::Run(argc > 1 ? atoi(argv[1]) : 2); }
