#include "agent/cli/setup/questions.h"

#include <errno.h>
#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

#include "base/core/file.h"

namespace credence {
namespace {

constexpr std::size_t kMaxAnswerBytes = 4096;

std::string Trimmed(const std::string& text) {
  constexpr const char* kBlanks = " \t\r";
  const auto first = text.find_first_not_of(kBlanks);
  return first == std::string::npos
             ? std::string()
             : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

void Questions::Say(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

Result<std::string> Questions::Ask(std::string_view question) const {
  Say(fmt::format("{}: ", question));
  std::string line;
  while (line.size() <= kMaxAnswerBytes) {
    char c = 0;
    // One byte at a time: what follows the line is for the next question.
    const ssize_t got = read(input_, &c, 1);
    if (got < 0 && errno != EINTR) {
      return Error(CodeFromErrno(errno), fmt::format("read the answer: {}", ErrnoText(errno)));
    }
    if (got == 0) {
      return Error(Code::kCancelled, fmt::format("no answer to \"{}\"", question));
    }
    if (got > 0 && c == '\n') {
      return Trimmed(line);
    }
    if (got > 0) {
      line += c;
    }
  }
  return Error(Code::kOutOfRange,
               fmt::format("the answer has more than {} bytes", kMaxAnswerBytes));
}

Result<bool> Questions::Confirm(std::string_view question) const {
  const auto answer = Ask(fmt::format("{} [Y/n]", question));
  if (!answer.ok()) {
    return answer.error();
  }
  return answer->empty() || *answer == "y" || *answer == "Y" || *answer == "yes";
}

}  // namespace credence
