#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "agent/cli/command_line.h"
#include "agent/cli/exit_code.h"
#include "base/core/secret_bytes.h"

int main(int argc, char** argv) {
  // An unprivileged caller may have little memory to lock; its secrets then still stay out of core
  // files.
  credence::LockSecretMemory();
  try {
    return credence::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "credence: internal error: %s\n", failure.what());
    return static_cast<int>(credence::ExitCode::kFailed);
  }
}
