#include "agent/attestation/attestation.h"

#include <iterator>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/core/latch.h"
#include "base/core/log.h"

namespace credence {
namespace {

void Append(std::vector<Selector> more, std::vector<Selector>* all) {
  all->insert(
      all->end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

Result<ProcessFacts> DescribeProcess(const PinnedProcess& process) {
  const Caller& caller = process.caller();
  const auto start_time = process.StartTime();
  if (!start_time.ok()) {
    return start_time.error();
  }
  auto executable = process.PathOfExecutable();
  if (!executable.ok()) {
    return std::move(executable).error();
  }
  if (executable->callers_view) {
    executable->text += " (unverified)";
  }
  return ProcessFacts{.pid = caller.pid,
                      .uid = caller.uid,
                      .assurance = caller.assurance,
                      .start_time = *start_time,
                      .executable = std::move(executable->text)};
}

/// The attestors' answers about one process, by source. Those that come too late find nobody.
struct WorkloadAttestation::Asked {
  std::vector<std::optional<Result<std::vector<Selector>>>> answers;
  /// Null where no call runs.
  std::vector<Call*> calls;
  std::size_t open = 0;
  Latch all_ended;
};

/// One call to an attestor, from when it is asked until its task is gone, however it ends.
class WorkloadAttestation::Call {
 public:
  Call(Source& source, std::size_t index, std::shared_ptr<Asked> asked)
      : source_(source), index_(index), asked_(std::move(asked)) {
    asked_->calls[index_] = this;
    ++asked_->open;
  }
  ~Call() {
    asked_->calls[index_] = nullptr;
    if (overdue_) {
      --source_.overdue;
    }
    if (--asked_->open == 0) {
      asked_->all_ended.Set();
    }
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  WorkloadAttestor& attestor() const { return *source_.attestor; }
  void CancelBy(asio::cancellation_signal& cancel) { cancel_ = &cancel; }
  void Answer(Result<std::vector<Selector>> answer) {
    if (!overdue_) {
      asked_->answers[index_] = std::move(answer);
    }
  }
  /// Nobody waits for it any more.
  void SetOverdue() {
    overdue_ = true;
    ++source_.overdue;
  }
  /// May end it at once.
  void Cancel() const { cancel_->emit(asio::cancellation_type::terminal); }

 private:
  Source& source_;
  std::size_t index_;
  std::shared_ptr<Asked> asked_;
  asio::cancellation_signal* cancel_ = nullptr;
  bool overdue_ = false;
};

/// The wait for the answers. At its end, calls that still run count as overdue; if whoever waited
/// was cancelled, they are cancelled too.
class WorkloadAttestation::Waiting {
 public:
  explicit Waiting(std::shared_ptr<Asked> asked) : asked_(std::move(asked)) {}
  ~Waiting() {
    for (std::size_t i = 0; i < asked_->calls.size(); ++i) {
      if (Call* call = asked_->calls[i]) {
        call->SetOverdue();
        if (!done_) {
          call->Cancel();
        }
      }
    }
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  void Done() { done_ = true; }

 private:
  std::shared_ptr<Asked> asked_;
  bool done_ = false;
};

WorkloadAttestation::WorkloadAttestation(asio::any_io_executor executor,
                                         std::vector<std::unique_ptr<WorkloadAttestor>> attestors,
                                         Options options)
    : options_(options), running_(std::move(executor)) {
  for (auto& attestor : attestors) {
    sources_.push_back(Source{.attestor = std::move(attestor)});
  }
}

Task<Result<Attested>> WorkloadAttestation::Attest(std::shared_ptr<const Caller> caller,
                                                   Deadline deadline,
                                                   AttestDetail detail) {
  auto opened = PinnedProcess::Open(caller);
  if (!opened.ok()) {
    co_return std::move(opened).error();
  }
  const auto process = std::make_shared<const PinnedProcess>(*std::move(opened));
  const Deadline attestor_deadline = deadline.Earlier(Deadline::After(options_.attestor_timeout));
  Answers answers;
  if (sources_.size() == 1) {
    answers = co_await AskOnly(process, attestor_deadline);
  } else if (!sources_.empty()) {
    answers = co_await AskAll(process, attestor_deadline);
  }
  ProcessFacts facts{.pid = caller->pid, .uid = caller->uid, .assurance = caller->assurance};
  if (detail == AttestDetail::kProcess) {
    auto described = DescribeProcess(*process);
    if (!described.ok()) {
      co_return std::move(described).error();
    }
    facts = *std::move(described);
  }
  // What was read is about the caller only if the process is still what it was. A process that went
  // away makes attestors fail too, so this is also the better answer when they did.
  if (auto unchanged = process->ConfirmUnchanged(); !unchanged.ok()) {
    co_return std::move(unchanged).error();
  }
  if (!sources_.empty() && answers.failed == sources_.size()) {
    co_return Error(Code::kUnavailable,
                    fmt::format("pid {}: no workload attestor answered", caller->pid));
  }
  co_return Attested{SelectorSet(std::move(answers.selectors)), std::move(facts)};
}

Task<WorkloadAttestation::Answers> WorkloadAttestation::AskOnly(
    std::shared_ptr<const PinnedProcess> process, Deadline deadline) {
  Answers answers;
  auto selectors = co_await sources_.front().attestor->Attest(std::move(process), deadline);
  if (selectors.ok()) {
    answers.selectors = *std::move(selectors);
  } else {
    answers.failed = 1;
    LogFailure(sources_.front(), selectors.error());
  }
  co_return answers;
}

Task<WorkloadAttestation::Answers> WorkloadAttestation::AskAll(
    std::shared_ptr<const PinnedProcess> process, Deadline deadline) {
  const auto asked = std::make_shared<Asked>();
  asked->answers.resize(sources_.size());
  asked->calls.resize(sources_.size());
  {
    Waiting waiting(asked);
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      if (sources_[i].overdue >= options_.max_overdue) {
        asked->answers[i] =
            Error(Code::kUnavailable, fmt::format("{} calls hang", sources_[i].overdue));
        continue;
      }
      const auto call = std::make_shared<Call>(sources_[i], i, asked);
      call->CancelBy(running_.Spawn("workload attestor", Ask(call, process, deadline)));
    }
    if (asked->open > 0) {
      co_await asked->all_ended.Wait(deadline);
    }
    waiting.Done();
  }
  Answers answers;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    auto& answer = asked->answers[i];
    if (!answer) {
      answer = Error(Code::kDeadlineExceeded, "no answer in time");
    }
    if (answer->ok()) {
      Append(**std::move(answer), &answers.selectors);
    } else {
      ++answers.failed;
      LogFailure(sources_[i], answer->error());
    }
  }
  co_return answers;
}

Task<void> WorkloadAttestation::Ask(std::shared_ptr<Call> call,
                                    std::shared_ptr<const PinnedProcess> process,
                                    Deadline deadline) {
  auto selectors = co_await call->attestor().Attest(std::move(process), deadline);
  call->Answer(std::move(selectors));
}

void WorkloadAttestation::LogFailure(Source& source, const Error& error) {
  // Any local process can cause failures as fast as it can connect; the log must not grow with
  // them.
  constexpr auto kLogEvery = std::chrono::seconds(10);
  if (source.next_log && !source.next_log->Passed()) {
    ++source.unlogged;
    return;
  }
  source.next_log = Deadline::After(kLogEvery);
  LogWarn("Workload attestor failed",
          {{"attestor", source.attestor->name()},
           {"error", error},
           {"failures_not_logged", std::exchange(source.unlogged, 0)}});
}

}  // namespace credence
