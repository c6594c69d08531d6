// Init itself: what connects clients, commands, interfaces and the files in DIR.
//
// One thread, one loop. Life: created (clients may already exec, or ask for a TAP) -> the main
// command runs -> it ended: files written, clients told, everything else killed -> clients hang up
// -> init ends. A holding init has no main command and goes from created to its end.
//
// Any function that sends to a client may find it gone and drop it: look at its state afterwards.
#ifndef WEFT_INIT_INIT_H_
#define WEFT_INIT_INIT_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <string_view>

#include "client.h"
#include "command.h"
#include "control.h"
#include "error.h"
#include "exit_file.h"
#include "output_log.h"
#include "poller.h"
#include "request.h"
#include "resolver.h"
#include "tap.h"

namespace weft {

struct InitOptions {
  enum class Mode : uint8_t { kRun, kHold };
  Mode mode;
  const char* socket_path;
  const char* dir;
  const char* cwd;    // of commands
  int target_pidfd;   // kHold: end when this process ends; -1: hold on
  pid_t target_pid;   // kHold, with a pidfd
  char* const* argv;  // kRun: the main command
  bool terminal;
};

class Init {
 public:
  // All that can fail before anybody relies on this init.
  Error Open(const InitOptions& options);

  // Until the end.
  void Run();

 private:
  // Each has up to four descriptors; together they stay below the usual limit of 1024.
  static constexpr uint32_t kMaxClients = 128;
  // Of these so many may have streams: there is always one left for who wants to end this.
  static constexpr uint32_t kMaxStreams = kMaxClients - 16;
  // As the index of a wake-up: the main command's. Others are the client's whose command it is.
  static constexpr uint32_t kMainCommand = kMaxClients;

  enum class Phase : uint8_t { kCreated, kRunning, kEnding };

  // Wake-ups.
  void OnConnect();
  void OnClient(Client* client, uint32_t events);
  void OnSignals();
  void OnInputRoom(uint32_t index);
  void OnOutput(uint32_t index, Wake stream);

  // Requests. The Take functions return true if they did something and may be called again.
  void TakeReceived(Client* client);
  bool TakeRequestLine(Client* client);
  bool TakeExecSpec(Client* client);
  Error Answer(Client* client, const Request& request);
  Error AnswerTap(Client* client, const char* interface);
  Error AnswerDns(Client* client, DnsProtocol protocol);
  Error AnswerSocket(Client* client);
  Error AnswerResolvConf(Client* client);
  void HandOver(Client* client, int fd);
  Error AnswerLink(Client* client, const Request& request);
  Error AnswerStart(Client* client);
  Error AnswerAttach(Client* client, const Request& request);
  Error CheckStartable() const;
  Error CheckStreams() const;
  void DescribeState(char* text, size_t capacity) const;

  // Frames from a client.
  bool TakeFrame(Client* client);
  bool TakeStdin(Client* client);
  void Stall(Client* client);

  // Output to clients and to the log.
  void Deliver(uint32_t index, Wake stream, const void* bytes, size_t count);
  void DrainOutput(uint32_t index);
  void Throttle(uint32_t index);

  // Clients.
  Client* FindFreeClient();
  uint32_t IndexOf(const Client* client) const;
  uint32_t CommandIndexOf(const Client* client) const;
  Command& CommandAt(uint32_t index);
  void SendLine(Client* client, const char* line);
  void SendFrame(Client* client, FrameKind kind, const void* bytes, size_t count);
  void SendExit(Client* client, uint8_t code);
  void TellEnd(Client* watcher);
  void Fail(Client* client, const Error& error);
  void FailFrames(Client* client, const char* reason);
  void HangUp(Client* client);
  void Finish(Client* client);
  void Drop(Client* client);

  // Commands, and the end.
  SpawnResult StartMain(Stdin standard_input);
  void OnChildEnd(pid_t pid, ExitStatus status);
  void OnMainEnd(ExitStatus status);
  void End();
  void KillOthers() const;
  void BeginEnding();
  bool MayEnd() const;
  int TimeoutMs() const;

  InitOptions options_ = {};
  Phase phase_ = Phase::kCreated;
  int dir_fd_ = -1;
  Poller poller_;
  Watched signals_;
  Watched target_;
  ControlSocket control_;
  TapTable taps_;
  ResolverSockets dns_;
  ResolvConf resolv_conf_;
  OutputLog log_;

  Command main_;
  TerminalSize main_size_;
  bool main_ended_ = false;
  ExitStatus main_status_ = {};
  uint64_t main_started_at_ms_ = 0;  // unix time
  uint64_t ending_deadline_ms_ = 0;  // monotonic

  Client clients_[kMaxClients] = {};
  uint8_t output_[kMaxFrameBytes];
};

}  // namespace weft

#endif  // WEFT_INIT_INIT_H_
