// A command in the sandbox: its process, and the descriptors that are its stdin, stdout and stderr.
//
// It leads a session of its own, so its process id names its process group too. With a terminal all
// three are one pty, which controls the session; everything it prints comes as stdout.
#ifndef WEFT_INIT_COMMAND_H_
#define WEFT_INIT_COMMAND_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "poller.h"

namespace weft {

// Until somebody says: what programs assume of a terminal that does not tell them.
struct TerminalSize {
  uint16_t rows = 24;
  uint16_t columns = 80;
};

enum class Stdin : uint8_t { kNothing, kPipe };

struct CommandSpec {
  char* const* argv;         // ends with nullptr; argv[0] is looked up in PATH
  char* const* environment;  // "K=V", ends with nullptr: put over init's environment
  const char* cwd;
  Stdin standard_input;  // without a terminal
  bool terminal;
  TerminalSize size;
  bool dies_with_init;  // where no PID namespace sees to it
};

// Whether a command started, and why not.
struct SpawnResult {
  Error error;
  uint8_t exit_code =
      0;  // with an error, what a shell would have returned: 127 not found, 126 not executable
};

class Command {
 public:
  // Returns when the command has been exec'd. `index` is what its wake-ups carry.
  SpawnResult Spawn(Poller* poller, const CommandSpec& spec, uint32_t index);

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }

  // To its process group.
  void Signal(int number) const;

  void Resize(TerminalSize size);

  // How much of `bytes` was taken; 0: none now, wait. What a command no longer reads is taken and
  // thrown away.
  size_t WriteInput(const void* bytes, size_t count);
  void WaitForInputRoom(bool wait);

  // Closes the pipe; on a terminal, types ^D. False: the terminal takes nothing now, wait.
  bool EndInput();

  // The next output of `stream` (kStdout or kStderr): its length, 0 at the end, -1 if there is none
  // now. At the end the stream is closed.
  ssize_t ReadOutput(Wake stream, void* buffer, size_t capacity);
  void WaitForOutput(bool wait);

  // Lets go of the process and of all its descriptors.
  void Close();

 private:
  Error OpenPipes(const CommandSpec& spec, Poller* poller, uint32_t index, int child_fds[3]);
  Error OpenTerminal(const CommandSpec& spec, Poller* poller, uint32_t index, int child_fds[3]);

  pid_t pid_ = 0;
  bool terminal_ = false;
  Watched stdin_;  // with a terminal a second descriptor of its master side
  Watched stdout_;
  Watched stderr_;
};

}  // namespace weft

#endif  // WEFT_INIT_COMMAND_H_
