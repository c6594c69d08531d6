// What a client may ask for: parsing.
#include "request.h"

#include <arpa/inet.h>

#include <charconv>
#include <csignal>
#include <cstring>

#include "stream.h"

namespace weft {
namespace {

// 256 KiB of strings are 16 bytes each on average at this number. The table is touched only as far
// as it is used.
constexpr size_t kMaxExecStrings = 16384;

// The next word of `line`, which loses it. Empty at the end.
std::string_view TakeWord(std::string_view* line) {
  const std::string_view word = line->substr(0, line->find(' '));
  line->remove_prefix(word.size());
  if (!line->empty()) line->remove_prefix(1);
  return word;
}

template <typename T>
bool ParseNumber(std::string_view text, T min, T max, T* value) {
  const char* end = text.data() + text.size();
  const std::from_chars_result result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end && *value >= min && *value <= max;
}

// `rows=N` or `cols=N`. False for any other word.
bool ParseSize(std::string_view word, TerminalSize* size) {
  uint16_t* value = word.starts_with("rows=")   ? &size->rows
                    : word.starts_with("cols=") ? &size->columns
                                                : nullptr;
  return value != nullptr && ParseNumber<uint16_t>(word.substr(5), 0, UINT16_MAX, value);
}

Error ParseInterface(std::string_view word, Request* request) {
  if (word.empty() || word.size() >= sizeof(request->interface)) {
    return Error::Of(kInvalidArgument, "an interface name has 1 to %zu characters",
                     sizeof(request->interface) - 1);
  }
  memcpy(request->interface, word.data(), word.size());
  return {};
}

// An address of either family, `text` alone. False for anything else.
bool ParseAddress(std::string_view text, IpPrefix* address) {
  char string[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof(string)) return false;
  memcpy(string, text.data(), text.size());
  string[text.size()] = '\0';
  address->family = text.find(':') == text.npos ? AF_INET : AF_INET6;
  return inet_pton(address->family, string, address->bytes) == 1;
}

// ADDRESS/LENGTH
bool ParsePrefix(std::string_view text, IpPrefix* prefix) {
  const size_t slash = text.find('/');
  return slash != text.npos && ParseAddress(text.substr(0, slash), prefix) &&
         ParseNumber<uint8_t>(text.substr(slash + 1), 0, prefix->family == AF_INET ? 32 : 128,
                              &prefix->length);
}

// Six bytes in hexadecimal, with colons between.
bool ParseMac(std::string_view text, MacAddress* mac) {
  if (text.size() != 17) return false;
  for (size_t i = 0; i < sizeof(mac->bytes); ++i) {
    const char* digits = text.data() + 3 * i;
    if (i > 0 && digits[-1] != ':') return false;
    const auto result = std::from_chars(digits, digits + 2, mac->bytes[i], 16);
    if (result.ec != std::errc() || result.ptr != digits + 2) return false;
  }
  return true;
}

Error ParseLink(std::string_view words, Request* request) {
  if (Error error = ParseInterface(TakeWord(&words), request)) return error;
  if (ParseMac(TakeWord(&words), &request->mac) &&
      ParseNumber<uint32_t>(TakeWord(&words), 1, UINT16_MAX, &request->number)) {
    request->announce = words == "announce";
    if (request->announce || words.empty()) return {};
  }
  return Error::Of(kInvalidArgument, "link IFNAME MAC MTU [announce]");
}

Error ParseAddressRequest(std::string_view words, Request* request) {
  if (Error error = ParseInterface(TakeWord(&words), request)) return error;
  if (ParsePrefix(words, &request->prefix)) return {};
  return Error::Of(kInvalidArgument, "address IFNAME ADDRESS/LENGTH");
}

Error ParseReaddress(std::string_view words, Request* request) {
  if (Error error = ParseInterface(TakeWord(&words), request)) return error;
  if (ParsePrefix(TakeWord(&words), &request->prefix) &&
      ParsePrefix(words, &request->replacement) &&
      request->replacement.family == request->prefix.family) {
    return {};
  }
  return Error::Of(kInvalidArgument, "readdress IFNAME ADDRESS/LENGTH ADDRESS/LENGTH");
}

Error ParseRoute(std::string_view words, Request* request) {
  if (Error error = ParseInterface(TakeWord(&words), request)) return error;
  if (ParsePrefix(TakeWord(&words), &request->prefix) && ParseAddress(words, &request->gateway) &&
      request->gateway.family == request->prefix.family) {
    return {};
  }
  return Error::Of(kInvalidArgument, "route IFNAME ADDRESS/LENGTH GATEWAY");
}

Error ParseDns(std::string_view words, Request* request) {
  request->dns = words == "tcp" ? DnsProtocol::kTcp : DnsProtocol::kUdp;
  if (words == "udp" || words == "tcp") return {};
  return Error::Of(kInvalidArgument, "dns udp|tcp");
}

Error ParseAttach(std::string_view words, Request* request) {
  while (!words.empty()) {
    const std::string_view word = TakeWord(&words);
    if (word == "start") {
      request->start = true;
    } else if (ParseSize(word, &request->size)) {
      request->has_size = true;
    } else {
      return Error::Of(kInvalidArgument, "attach [start] [rows=N] [cols=N]");
    }
  }
  return {};
}

struct Verb {
  std::string_view word;
  Request::Kind kind;
  bool has_argument;
};

constexpr Verb kVerbs[] = {
    {"tap", Request::Kind::kTap, true},         {"untap", Request::Kind::kUntap, true},
    {"dns", Request::Kind::kDns, true},         {"resolv-conf", Request::Kind::kResolvConf, false},
    {"link", Request::Kind::kLink, true},       {"up", Request::Kind::kUp, true},
    {"address", Request::Kind::kAddress, true}, {"route", Request::Kind::kRoute, true},
    {"start", Request::Kind::kStart, false},    {"signal", Request::Kind::kSignal, true},
    {"end", Request::Kind::kEnd, false},        {"watch", Request::Kind::kWatch, false},
    {"state", Request::Kind::kState, false},    {"attach", Request::Kind::kAttach, true},
    {"exec", Request::Kind::kExec, true},       {"readdress", Request::Kind::kReaddress, true},
    {"socket", Request::Kind::kSocket, true},
};

// False for what is no option of exec.
bool ParseExecOption(char* option, ExecSpec* spec, char*** environment) {
  const std::string_view text = option;
  if (text == "tty=0" || text == "tty=1") {
    spec->terminal = text.back() == '1';
    return true;
  }
  if (text.starts_with("cwd=")) {
    spec->cwd = option + 4;
    return true;
  }
  if (text.starts_with("env=") && text.find('=', 4) != text.npos) {
    *(*environment)++ = option + 4;
    return true;
  }
  return ParseSize(text, &spec->size);
}

}  // namespace

Error ParseRequest(std::string_view line, Request* request) {
  *request = {};
  const std::string_view word = TakeWord(&line);
  const Verb* verb = nullptr;
  for (const Verb& candidate : kVerbs) {
    if (candidate.word == word) verb = &candidate;
  }
  if (verb == nullptr || (!verb->has_argument && !line.empty()) || line.find('\0') != line.npos) {
    return Error::Of(kInvalidArgument, "no such request");
  }
  request->kind = verb->kind;
  switch (request->kind) {
    case Request::Kind::kTap:
    case Request::Kind::kUntap:
    case Request::Kind::kUp:
      return ParseInterface(line, request);
    case Request::Kind::kDns:
      return ParseDns(line, request);
    case Request::Kind::kSocket:
      if (line == "tcp") return {};
      return Error::Of(kInvalidArgument, "socket tcp");
    case Request::Kind::kLink:
      return ParseLink(line, request);
    case Request::Kind::kAddress:
      return ParseAddressRequest(line, request);
    case Request::Kind::kReaddress:
      return ParseReaddress(line, request);
    case Request::Kind::kRoute:
      return ParseRoute(line, request);
    case Request::Kind::kSignal:
      if (ParseNumber<uint32_t>(line, 1, SIGRTMAX, &request->number)) return {};
      return Error::Of(kInvalidArgument, "a signal is a number from 1 to %d", SIGRTMAX);
    case Request::Kind::kExec:
      if (ParseNumber<uint32_t>(line, 1, kMaxExecSpecBytes, &request->number)) return {};
      return Error::Of(kInvalidArgument, "exec takes 1 to %zu bytes", kMaxExecSpecBytes);
    case Request::Kind::kAttach:
      return ParseAttach(line, request);
    case Request::Kind::kResolvConf:
    case Request::Kind::kStart:
    case Request::Kind::kEnd:
    case Request::Kind::kWatch:
    case Request::Kind::kState:
      return {};
  }
  __builtin_unreachable();
}

Error ParseExecSpec(char* bytes, size_t count, ExecSpec* spec) {
  static char* strings[kMaxExecStrings + 2];
  *spec = {};
  if (bytes[count - 1] != '\0') return Error::Of(kInvalidArgument, "exec: no NUL at the end");
  char* const end = bytes + count;
  char** slot = strings;
  char** const last_slot = strings + kMaxExecStrings;

  spec->environment = slot;
  for (; bytes < end && strcmp(bytes, "--") != 0; bytes += strlen(bytes) + 1) {
    if (slot == last_slot || !ParseExecOption(bytes, spec, &slot)) {
      return Error::Of(kInvalidArgument, "exec: '%.80s' is no option", bytes);
    }
  }
  *slot++ = nullptr;

  spec->argv = slot;
  if (bytes < end) bytes += strlen(bytes) + 1;  // past the "--"
  for (; bytes < end; bytes += strlen(bytes) + 1) {
    if (slot > last_slot) {
      return Error::Of(kInvalidArgument, "exec: more than %zu strings", kMaxExecStrings);
    }
    *slot++ = bytes;
  }
  *slot = nullptr;
  if (*spec->argv == nullptr) return Error::Of(kInvalidArgument, "exec: no command");
  return {};
}

}  // namespace weft
