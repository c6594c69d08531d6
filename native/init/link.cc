#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "interface_option.h"

namespace weft {
namespace {

// One request with its attributes. There is always room: the most is a route's.
class Message {
 public:
  template <typename Header>
  Message(uint16_t type, uint16_t flags, const Header& header) {
    auto* head = reinterpret_cast<nlmsghdr*>(bytes_);
    head->nlmsg_type = type;
    head->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    memcpy(bytes_ + NLMSG_HDRLEN, &header, sizeof(header));
    head->nlmsg_len = NLMSG_LENGTH(sizeof(header));
  }

  void Add(uint16_t type, const void* value, size_t size) {
    auto* head = reinterpret_cast<nlmsghdr*>(bytes_);
    auto* attribute = reinterpret_cast<rtattr*>(bytes_ + NLMSG_ALIGN(head->nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    memcpy(RTA_DATA(attribute), value, size);
    head->nlmsg_len = NLMSG_ALIGN(head->nlmsg_len) + attribute->rta_len;
  }
  void Add(uint16_t type, uint32_t value) { Add(type, &value, sizeof(value)); }
  void Add(uint16_t type, const IpPrefix& address) {
    Add(type, address.bytes, address.family == AF_INET ? 4 : 16);
  }

  // False with errno: what the kernel answered.
  bool Send() const {
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return false;
    const bool done = Talk(fd);
    const int why = errno;
    close(fd);
    errno = why;
    return done;
  }

 private:
  bool Talk(int fd) const {
    const auto* head = reinterpret_cast<const nlmsghdr*>(bytes_);
    if (send(fd, bytes_, head->nlmsg_len, 0) < 0) return false;
    // The kernel has answered by the time that send() returns.
    alignas(nlmsghdr) char reply[1024];
    const ssize_t got = recv(fd, reply, sizeof(reply), 0);
    if (got < 0) return false;
    const auto* answer = reinterpret_cast<const nlmsghdr*>(reply);
    if (static_cast<size_t>(got) < NLMSG_LENGTH(sizeof(nlmsgerr)) ||
        answer->nlmsg_type != NLMSG_ERROR) {
      errno = EPROTO;
      return false;
    }
    errno = -static_cast<const nlmsgerr*>(NLMSG_DATA(answer))->error;
    return errno == 0;
  }

  alignas(nlmsghdr) char bytes_[256] = {};
};

// What Ethernet interfaces have. A TAP's own 500 are 16 ms at 31,000 frames a second: less than a
// worker may have to wait for a CPU that others use.
constexpr uint32_t kQueueFrames = 1000;

// The largest superframe whose segments, encapsulated, leave as one send: UDP_SEGMENT takes 65,493
// bytes, each segment is a packet of the MTU with 22 bytes of Ethernet and VXLAN headers. In TCP's
// terms: less than one segment more, and TCP's smallest segment has 72 bytes of headers (IPv6 and
// timestamps). 62,010 of 65,536 at an MTU of 1450.
uint32_t SuperframeLimit(uint32_t mtu) {
  constexpr uint32_t kMostInOneSend = 65493;
  constexpr uint32_t kMost = 65536;
  if (mtu < 576 || mtu + 22 > kMostInOneSend) return kMost;
  const uint32_t limit = (kMostInOneSend / (mtu + 22) + 1) * (mtu - 72);
  return limit < kMost ? limit : kMost;
}

int IndexOf(const char* name) { return static_cast<int>(if_nametoindex(name)); }

// Both families. False with errno.
bool ChangeAddress(uint16_t type, uint16_t flags, int index, const IpPrefix& address) {
  ifaddrmsg header = {};
  header.ifa_family = address.family;
  header.ifa_prefixlen = address.length;
  header.ifa_index = static_cast<uint32_t>(index);
  if (address.family == AF_INET6) header.ifa_flags = IFA_F_NODAD;
  Message message(type, flags, header);
  message.Add(IFA_LOCAL, address);
  message.Add(IFA_ADDRESS, address);
  return message.Send();
}

bool AddOnce(int index, const IpPrefix& address) {
  return ChangeAddress(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address) || errno == EEXIST;
}

// An address that is not there, or an interface without IPv6.
bool WasNotThere() { return errno == EADDRNOTAVAIL || errno == ENXIO || errno == EOPNOTSUPP; }

const char* TextOf(const IpPrefix& prefix, char (&text)[INET6_ADDRSTRLEN]) {
  return inet_ntop(prefix.family, prefix.bytes, text, sizeof(text));
}

}  // namespace

Error SetLink(const char* name, const MacAddress& mac, uint32_t mtu, bool announce) {
  if (announce) {
    // The kernel knows all addresses of the interface, and announces them when its MAC is set.
    SetInterfaceOption("ipv4", name, "arp_notify", '1');
    SetInterfaceOption("ipv6", name, "ndisc_notify", '1');
  }
  ifinfomsg header = {};
  header.ifi_index = IndexOf(name);
  Message message(RTM_NEWLINK, 0, header);
  message.Add(IFLA_ADDRESS, mac.bytes, sizeof(mac.bytes));
  message.Add(IFLA_MTU, mtu);
  message.Add(IFLA_TXQLEN, kQueueFrames);
  message.Add(IFLA_GSO_MAX_SIZE, SuperframeLimit(mtu));
  if (header.ifi_index != 0 && message.Send()) return {};
  return Error::FromErrno(kInternal, "MAC and MTU %u of %s", mtu, name);
}

Error AddAddress(const char* name, const IpPrefix& address) {
  const int index = IndexOf(name);
  if (index != 0 && ChangeAddress(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address)) {
    return {};
  }
  char text[INET6_ADDRSTRLEN];
  return Error::FromErrno(kInternal, "address %s on %s", TextOf(address, text), name);
}

Error ReplaceAddress(const char* name, const IpPrefix& from, const IpPrefix& to) {
  const int index = IndexOf(name);
  bool done = index != 0;
  // With its last IPv4 address an interface loses all its routes, and with the first of a subnet
  // the others of that subnet. So the new one comes before the old one goes, in a subnet of its
  // own.
  IpPrefix alone = to;
  const bool steps = to.family == AF_INET && to.length < 32;
  if (steps) {
    alone.length = 32;
    done = done && AddOnce(index, alone);
  }
  if (done && !ChangeAddress(RTM_DELADDR, 0, index, from)) {
    done = WasNotThere();
    if (done && steps) ChangeAddress(RTM_DELADDR, 0, index, alone);
    if (done) return {};
  }
  done = done && AddOnce(index, to);
  if (done && steps) done = ChangeAddress(RTM_DELADDR, 0, index, alone);
  if (done) return {};
  char text[INET6_ADDRSTRLEN];
  return Error::FromErrno(kInternal, "address %s instead on %s", TextOf(to, text), name);
}

Error ReplaceRoute(const char* name, const IpPrefix& to, const IpPrefix& gateway) {
  rtmsg header = {};
  header.rtm_family = to.family;
  header.rtm_dst_len = to.length;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  const int index = IndexOf(name);
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, header);
  message.Add(RTA_DST, to);
  message.Add(RTA_GATEWAY, gateway);
  message.Add(RTA_OIF, static_cast<uint32_t>(index));
  if (index != 0 && message.Send()) return {};
  char text[INET6_ADDRSTRLEN];
  return Error::FromErrno(kInternal, "route to %s/%u by %s", TextOf(to, text), to.length, name);
}

Error BringUp(const char* name) {
  ifinfomsg header = {};
  header.ifi_index = IndexOf(name);
  header.ifi_flags = header.ifi_change = IFF_UP;
  if (header.ifi_index != 0 && Message(RTM_NEWLINK, 0, header).Send()) return {};
  return Error::FromErrno(kInternal, "%s up", name);
}

}  // namespace weft
