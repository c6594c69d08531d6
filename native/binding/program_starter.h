// Starts weft-init, as Node would by fork, but without what fork costs a process whose other
// threads move frames: the copied page tables, and every page that they then write to, copied too.

#ifndef WEFT_BINDING_PROGRAM_STARTER_H_
#define WEFT_BINDING_PROGRAM_STARTER_H_

#include <napi.h>

namespace weft {

// startProgram(path, argv, environment, keep, patienceMs) → Promise<string>: starts the program at
// `path` in a session of its own, with all signals at their default, /dev/null as its standard
// streams, and duplicates of the descriptors `keep` where kept_descriptors.h says. Resolves with
// what it wrote to its ready descriptor until that was closed, and rejects when that does not
// happen in time (the program is killed then) or the program cannot be started. `code` of the error
// is the errno's name. `environment` is a list of NAME=VALUE, or null for ours. Off the main
// thread; the program is waited for, so it should end soon after its report.
Napi::Value StartProgram(const Napi::CallbackInfo& info);

}  // namespace weft

#endif  // WEFT_BINDING_PROGRAM_STARTER_H_
