// What a client may ask for: request lines and exec specifications, parsed and checked. Pure.
#ifndef WEFT_INIT_REQUEST_H_
#define WEFT_INIT_REQUEST_H_

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include <string_view>

#include "command.h"
#include "error.h"
#include "link.h"
#include "resolver.h"

namespace weft {

// The longest request is one with two IPv6 addresses and a name of 15 letters.
constexpr size_t kMaxRequestBytes = 128;

struct Request {
  enum class Kind : uint8_t {
    kTap,
    kUntap,
    kDns,
    kSocket,
    kResolvConf,
    kLink,
    kAddress,
    kReaddress,
    kRoute,
    kUp,
    kStart,
    kSignal,
    kEnd,
    kWatch,
    kState,
    kAttach,
    kExec,
  };
  Kind kind;
  DnsProtocol dns;           // dns
  char interface[IFNAMSIZ];  // tap, untap, link, address, readdress, route, up
  MacAddress mac;            // link
  IpPrefix prefix;           // address, route; readdress: the old one
  IpPrefix gateway;          // route; without its length
  IpPrefix replacement;      // readdress
  uint32_t number;           // link: MTU; signal: which; exec: how many bytes follow
  bool announce;             // link: tell the neighbours
  bool start;                // attach: and start the command
  bool has_size;             // attach
  TerminalSize size;         // attach
};

Error ParseRequest(std::string_view line, Request* request);

struct ExecSpec {
  bool terminal;
  TerminalSize size;
  const char* cwd;     // nullptr: not said
  char** environment;  // as CommandSpec's; these and argv are valid until the next call
  char** argv;
};

// `bytes` must live as long as the result.
Error ParseExecSpec(char* bytes, size_t count, ExecSpec* spec);

}  // namespace weft

#endif  // WEFT_INIT_REQUEST_H_
