#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "agent/exchange/audit_event.h"
#include "base/core/check.h"

namespace credence {

/// A folder for the logs of one test, removed at its end.
class LogFolder {
 public:
  LogFolder() {
    path_ = (std::filesystem::temp_directory_path() / "audit-XXXXXX").string();
    CREDENCE_CHECK(mkdtemp(path_.data()) != nullptr);
  }
  ~LogFolder() { std::filesystem::remove_all(path_); }
  LogFolder(const LogFolder&) = delete;
  LogFolder& operator=(const LogFolder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// A refusal with every member that a refusal has.
inline AuditEvent SampleEvent(const std::string& decision_id) {
  AuditEvent event;
  event.time = FromUnixSeconds(1'800'000'000);
  event.decision_id = decision_id;
  event.result = AuditResult::kDenied;
  event.subject.spiffe_id = "spiffe://example.org/w";
  event.subject.selectors =
      SelectorSet({Selector{"unix", "uid:1000"}, Selector{"unix", "user:web"}});
  event.subject.pid = 42;
  event.subject.uid = 1000;
  event.subject.start_time = 123456;
  event.subject.executable = "/usr/bin/app";
  event.subject.assurance = Assurance::kPinned;
  event.destination = "kv-demo";
  event.grant = "web-to-kv";
  event.action = "get";
  event.reason = "it does not fit";
  event.fix = "change it";
  return event;
}

}  // namespace credence
