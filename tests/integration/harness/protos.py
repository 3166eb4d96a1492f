"""Python classes of our .proto files, made when the tests start."""

import importlib
import subprocess
import sys

from .peers import ROOT

FILES = ("spiffe/workload/workload.proto", "credence/credential/v1/credential.proto")


class Protos:
    def __init__(self, folder):
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}/proto", f"--python_out={folder}", *FILES],
                       cwd=ROOT / "proto", check=True)
        sys.path.insert(0, str(folder))
        self.workload = importlib.import_module("spiffe.workload.workload_pb2")
        self.credential = importlib.import_module("credence.credential.v1.credential_pb2")
