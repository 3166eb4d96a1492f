#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include <nghttp2/nghttp2.h>

#include "base/h2/status.h"

namespace credence::h2 {

/// A header block to send. It must live through the submit call that reads it. Not movable: fields
/// point inside.
class AnswerFields {
 public:
  AnswerFields() = default;
  AnswerFields(const AnswerFields&) = delete;
  AnswerFields& operator=(const AnswerFields&) = delete;

  /// ":status" and, for gRPC, the content type.
  void AddHead(int http_status);
  /// grpc-status, grpc-message, grpc-status-details-bin; and what encodings we take if that was the
  /// trouble.
  void AddStatus(const Status& status);

  const nghttp2_nv* data() const { return fields_.data(); }
  std::size_t size() const { return count_; }

 private:
  /// `name` and `value` outlive this object.
  void Add(std::string_view name, std::string_view value, nghttp2_nv_flag flag);

  std::array<nghttp2_nv, 8> fields_{};
  std::size_t count_ = 0;
  std::string http_status_;
  std::string code_;
  std::string message_;
  std::string details_;
};

}  // namespace credence::h2
