#include "agent/cli/testing/run_command.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "agent/cli/command_line.h"
#include "base/core/check.h"
#include "base/core/file.h"
#include "base/core/unique_fd.h"

namespace credence {
namespace {

/// Stands in for the descriptor `number` until it goes.
class Standin {
 public:
  explicit Standin(int number)
      : number_(number), before_(dup(number)), file_(memfd_create("standin", MFD_CLOEXEC)) {
    CREDENCE_CHECK(before_.valid() && file_.valid() && dup2(file_.get(), number) == number);
  }
  ~Standin() { CREDENCE_CHECK(dup2(before_.get(), number_) == number_); }
  Standin(const Standin&) = delete;
  Standin& operator=(const Standin&) = delete;

  void Fill(const std::string& text) {
    CREDENCE_CHECK(WriteAll(file_.get(), text).ok());
    CREDENCE_CHECK(lseek(file_.get(), 0, SEEK_SET) == 0);
  }
  std::string Content() {
    std::string text(static_cast<std::size_t>(lseek(file_.get(), 0, SEEK_END)), '\0');
    CREDENCE_CHECK(pread(file_.get(), text.data(), text.size(), 0) ==
                   static_cast<ssize_t>(text.size()));
    return text;
  }

 private:
  int number_;
  UniqueFd before_;
  UniqueFd file_;
};

}  // namespace

CommandResult RunCommand(const std::vector<std::string>& arguments, const std::string& input) {
  std::fflush(stdout);
  Standin in(STDIN_FILENO);
  Standin out(STDOUT_FILENO);
  Standin err(STDERR_FILENO);
  in.Fill(input);
  CommandResult result;
  result.exit_code = RunCommandLine(arguments);
  std::fflush(stdout);
  result.out = out.Content();
  result.err = err.Content();
  return result;
}

}  // namespace credence
