#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nghttp2/nghttp2.h>

#include "base/core/unique_fd.h"

namespace credence::h2 {

/// One message as it stands in a DATA frame.
std::string FrameMessage(std::string_view text, char flag = 0);
/// A raw HTTP/2 frame.
std::string RawFrame(std::uint8_t type,
                     std::uint8_t flags,
                     std::uint32_t stream,
                     std::string_view payload);
/// The preface and an empty SETTINGS.
std::string RawPreface();

/// A gRPC client on one connection, driven by hand on the test's own thread: nothing is sent or
/// read outside Pump().
class TestClient {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  enum class Half { kOpen, kEnded };
  enum class Windows { kAutomatic, kNeverUpdated };

  struct Answer {
    std::map<std::string, std::string> fields;  // of headers and trailers together
    int header_blocks = 0;
    std::string body;
    bool closed = false;
    std::uint32_t error = 0;

    /// The whole messages in the body.
    std::vector<std::string> Messages() const;
    std::string Field(const std::string& name) const;
    std::string grpc_status() const { return Field("grpc-status"); }
  };

  /// Connects at once. Terminates the test program on failure.
  explicit TestClient(const std::string& socket_path, Windows windows = Windows::kAutomatic);
  ~TestClient();

  /// Opens a call; `request` is what its DATA frames carry so far.
  std::int32_t Call(const std::string& path,
                    std::string request,
                    Half half = Half::kEnded,
                    const Fields& more = {});
  /// The same with all header fields given.
  std::int32_t CallWith(const Fields& fields, std::string request, Half half);
  void Send(std::int32_t id, std::string_view data, Half half = Half::kOpen);
  void Cancel(std::int32_t id);
  /// Bytes of the test's own making; from now on the client sends nothing else.
  void SendRaw(std::string_view bytes);
  void HangUp() { socket_ = UniqueFd(); }

  /// Sends and reads what is possible now without waiting.
  void Pump();
  /// Sends only.
  void PumpOut();

  const Answer& answer(std::int32_t id) { return answers_[id]; }
  bool hung_up() const { return hung_up_; }
  /// Error codes and last stream ids of the GOAWAYs so far.
  const std::vector<std::pair<std::uint32_t, std::int32_t>>& goaways() const { return goaways_; }
  std::size_t pings_answered() const { return pings_answered_; }
  void Ping();

 private:
  void PumpIn();

  struct Upload {
    std::string data;
    bool ended = false;
  };
  struct Callbacks;

  UniqueFd socket_;
  nghttp2_session* session_ = nullptr;
  std::string outgoing_;
  std::map<std::int32_t, Answer> answers_;
  std::map<std::int32_t, Upload> uploads_;
  std::vector<std::pair<std::uint32_t, std::int32_t>> goaways_;
  std::size_t pings_answered_ = 0;
  bool hung_up_ = false;
  bool raw_ = false;
};

}  // namespace credence::h2
