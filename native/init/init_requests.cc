// What clients ask of init: request lines, exec specifications, then frames, in this order.
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "init.h"

namespace weft {

void Init::TakeReceived(Client* client) {
  bool more = true;
  while (more) {
    switch (client->state) {
      case Client::State::kFree:
        return;
      case Client::State::kRequest:
        more = TakeRequestLine(client);
        break;
      case Client::State::kExecSpec:
        more = TakeExecSpec(client);
        break;
      case Client::State::kAttached:
      case Client::State::kExec:
        more = TakeFrame(client);
        break;
      case Client::State::kWatch:
      case Client::State::kFinished: {
        ByteQueue& received = client->stream.received();
        received.Consume(received.size());
        return;
      }
    }
  }
}

bool Init::TakeRequestLine(Client* client) {
  ByteQueue& received = client->stream.received();
  if (received.empty()) return false;
  char line[kMaxRequestBytes];
  const size_t seen = std::min(received.size(), sizeof(line));
  memcpy(line, received.data(), seen);
  const void* newline = memchr(line, '\n', seen);
  if (newline == nullptr) {
    if (seen < sizeof(line)) return false;
    Fail(client, Error::Of(kInvalidArgument, "a request has at most %zu bytes", sizeof(line)));
    return true;
  }
  const size_t length = static_cast<size_t>(static_cast<const char*>(newline) - line);
  received.Consume(length + 1);

  Request request;
  Error error = ParseRequest({line, length}, &request);
  if (!error) error = Answer(client, request);
  if (error) Fail(client, error);
  return true;
}

Error Init::Answer(Client* client, const Request& request) {
  switch (request.kind) {
    case Request::Kind::kTap:
      return AnswerTap(client, request.interface);
    case Request::Kind::kUntap:
      if (Error error = taps_.Drop(request.interface)) return error;
      SendLine(client, "ok");
      return {};
    case Request::Kind::kDns:
      return AnswerDns(client, request.dns);
    case Request::Kind::kSocket:
      return AnswerSocket(client);
    case Request::Kind::kResolvConf:
      return AnswerResolvConf(client);
    case Request::Kind::kLink:
    case Request::Kind::kAddress:
    case Request::Kind::kReaddress:
    case Request::Kind::kRoute:
    case Request::Kind::kUp:
      return AnswerLink(client, request);
    case Request::Kind::kStart:
      return AnswerStart(client);
    case Request::Kind::kSignal:
      if (!main_.running()) return Error::Of(kNotRunning, "no command is running");
      main_.Signal(static_cast<int>(request.number));
      SendLine(client, "ok");
      return {};
    case Request::Kind::kEnd:
      SendLine(client, "ok");
      if (client->state != Client::State::kFree) Finish(client);
      End();
      return {};
    case Request::Kind::kWatch:
      client->state = Client::State::kWatch;
      SendLine(client, "ok");
      if (phase_ == Phase::kEnding) TellEnd(client);
      return {};
    case Request::Kind::kState: {
      char text[64];
      DescribeState(text, sizeof(text));
      SendLine(client, text);
      return {};
    }
    case Request::Kind::kAttach:
      return AnswerAttach(client, request);
    case Request::Kind::kExec:
      if (phase_ == Phase::kEnding) return Error::Of(kNotRunning, "the sandbox is ending");
      if (Error error = CheckStreams()) return error;
      client->state = Client::State::kExecSpec;
      client->exec_spec_size = request.number;
      return {};
  }
  __builtin_unreachable();
}

Error Init::AnswerTap(Client* client, const char* interface) {
  int fd;
  if (Error error = taps_.Get(interface, &fd)) return error;
  HandOver(client, fd);
  return {};
}

// Says ok, with a descriptor.
void Init::HandOver(Client* client, int fd) {
  // A reply that still waits would be overtaken; no client has a reason to let one wait.
  if (client->stream.waiting() > 0 || !SendDescriptor(client->stream.fd(), fd)) Drop(client);
}

Error Init::AnswerDns(Client* client, DnsProtocol protocol) {
  int fd;
  if (Error error = dns_.Get(protocol, &fd)) return error;
  HandOver(client, fd);
  return {};
}

// One for each who asks; init keeps none.
Error Init::AnswerSocket(Client* client) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error::FromErrno(kInternal, "socket");
  HandOver(client, fd);
  close(fd);
  return {};
}

Error Init::AnswerResolvConf(Client* client) {
  Error error;
  if (options_.mode == InitOptions::Mode::kRun) {
    error = resolv_conf_.Mount(dir_fd_);
  } else if (target_.is_open()) {
    error = resolv_conf_.MountFor(dir_fd_, target_.fd(), options_.target_pid);
  } else {
    error = Error::Of(kUnavailable, "no process is held, whose resolv.conf it could be");
  }
  if (!error) SendLine(client, "ok");
  return error;
}

Error Init::AnswerLink(Client* client, const Request& request) {
  // Only what was made here: the namespace may be the host's.
  if (!taps_.Has(request.interface)) {
    return Error::Of(kNotFound, "no interface '%s' is held here", request.interface);
  }
  Error error;
  if (request.kind == Request::Kind::kLink) {
    error = SetLink(request.interface, request.mac, request.number, request.announce);
  } else if (request.kind == Request::Kind::kAddress) {
    error = AddAddress(request.interface, request.prefix);
  } else if (request.kind == Request::Kind::kReaddress) {
    error = ReplaceAddress(request.interface, request.prefix, request.replacement);
  } else if (request.kind == Request::Kind::kRoute) {
    error = ReplaceRoute(request.interface, request.prefix, request.gateway);
  } else {
    error = BringUp(request.interface);
  }
  if (!error) SendLine(client, "ok");
  return error;
}

Error Init::CheckStartable() const {
  if (options_.mode == InitOptions::Mode::kHold) {
    return Error::Of(kInvalidArgument, "this init holds a namespace and has no command");
  }
  if (phase_ != Phase::kCreated) {
    return Error::Of(kAlreadyRunning, "the command was started before");
  }
  return {};
}

Error Init::CheckStreams() const {
  uint32_t count = 0;
  for (const Client& client : clients_) {
    if (client.state == Client::State::kAttached || client.state == Client::State::kExec) ++count;
  }
  if (count < kMaxStreams) return {};
  return Error::Of(kUnavailable, "%u streams are open, which is all there can be", kMaxStreams);
}

Error Init::AnswerStart(Client* client) {
  if (Error error = CheckStartable()) return error;
  if (const SpawnResult result = StartMain(Stdin::kNothing); result.error) return result.error;
  char text[32];
  snprintf(text, sizeof(text), "ok %d", main_.pid());
  SendLine(client, text);
  return {};
}

Error Init::AnswerAttach(Client* client, const Request& request) {
  if (request.start) {
    if (Error error = CheckStartable()) return error;
  } else if (options_.mode == InitOptions::Mode::kHold || phase_ == Phase::kEnding) {
    return Error::Of(kNotRunning, "no command is running");
  }
  if (Error error = CheckStreams()) return error;
  client->state = Client::State::kAttached;
  client->foreground = request.start;
  SendLine(client, options_.terminal ? "ok tty" : "ok");
  if (client->state != Client::State::kAttached) return {};
  if (request.has_size) {
    main_size_ = request.size;
    main_.Resize(main_size_);
  }
  // If it fails, this client hears of it as of any other end of the command.
  if (request.start) StartMain(Stdin::kPipe);
  return {};
}

bool Init::TakeExecSpec(Client* client) {
  ByteQueue& received = client->stream.received();
  if (received.size() < client->exec_spec_size) return false;
  ExecSpec exec;
  if (Error error =
          ParseExecSpec(reinterpret_cast<char*>(received.data()), client->exec_spec_size, &exec)) {
    Fail(client, error);
    return true;
  }
  const CommandSpec spec = {
      .argv = exec.argv,
      .environment = exec.environment,
      .cwd = exec.cwd == nullptr ? options_.cwd : exec.cwd,
      .standard_input = Stdin::kPipe,
      .terminal = exec.terminal,
      .size = exec.size,
      .dies_with_init = options_.mode == InitOptions::Mode::kHold,
  };
  client->state = Client::State::kExec;
  const SpawnResult result = client->command.Spawn(&poller_, spec, CommandIndexOf(client));
  received.Consume(client->exec_spec_size);
  SendLine(client, "ok");
  if (result.error) {
    SendFrame(client, FrameKind::kError, result.error.text(), strlen(result.error.text()));
    SendExit(client, result.exit_code);
  }
  return true;
}

void Init::DescribeState(char* text, size_t capacity) const {
  if (main_ended_) {
    snprintf(text, capacity, "ok ended %u %u", main_status_.code, main_status_.signal);
  } else if (main_.running()) {
    snprintf(text, capacity, "ok running %d", main_.pid());
  } else {
    const bool holds = options_.mode == InitOptions::Mode::kHold;
    snprintf(text, capacity, "ok %s", holds ? "holding" : "created");
  }
}

// --- Frames from a client -----------------------------------------------------------------------

bool Init::TakeFrame(Client* client) {
  if (client->stdin_left > 0) return TakeStdin(client);
  ByteQueue& received = client->stream.received();
  if (received.size() < kFrameHeaderBytes) return false;
  const uint8_t* header = received.data();
  const auto kind = static_cast<FrameKind>(header[0]);
  uint32_t length;
  memcpy(&length, header + 1, sizeof(length));
  length = ntohl(length);

  Command& command = CommandAt(CommandIndexOf(client));
  if (kind == FrameKind::kStdin && length <= kMaxFrameBytes) {
    // Its bytes are passed on as they come; the frame is never held as a whole.
    if (length == 0 && !command.EndInput()) {
      Stall(client);
      return false;
    }
    received.Consume(kFrameHeaderBytes);
    client->stdin_left = length;
    return true;
  }

  const bool valid = (kind == FrameKind::kWindowSize && length == 4) ||
                     (kind == FrameKind::kSignal && length == 1);
  if (!valid) {
    FailFrames(client, "no such frame");
    return true;
  }
  if (received.size() < kFrameHeaderBytes + length) return false;
  const uint8_t* payload = header + kFrameHeaderBytes;
  if (kind == FrameKind::kWindowSize) {
    const TerminalSize size = {static_cast<uint16_t>(payload[0] << 8 | payload[1]),
                               static_cast<uint16_t>(payload[2] << 8 | payload[3])};
    if (client->state == Client::State::kAttached) main_size_ = size;
    command.Resize(size);
  } else if (payload[0] >= 1 && payload[0] <= SIGRTMAX) {
    command.Signal(payload[0]);
  }
  received.Consume(kFrameHeaderBytes + length);
  return true;
}

bool Init::TakeStdin(Client* client) {
  ByteQueue& received = client->stream.received();
  const size_t count = std::min<size_t>(client->stdin_left, received.size());
  if (count == 0) return false;
  const size_t taken = CommandAt(CommandIndexOf(client)).WriteInput(received.data(), count);
  if (taken == 0) {
    Stall(client);
    return false;
  }
  received.Consume(taken);
  client->stdin_left -= static_cast<uint32_t>(taken);
  return true;
}

void Init::Stall(Client* client) {
  client->stalled = true;
  client->stream.ReadMore(false);
  CommandAt(CommandIndexOf(client)).WaitForInputRoom(true);
}

void Init::OnInputRoom(uint32_t index) {
  CommandAt(index).WaitForInputRoom(false);
  for (Client& client : clients_) {
    if (!client.stalled || CommandIndexOf(&client) != index) continue;
    client.stalled = false;
    client.stream.ReadMore(true);
    TakeReceived(&client);
  }
}

}  // namespace weft
