"""What HuggingFace's own client does with a Hub: hub_client.py DIR, started by hub_client."""

import hashlib
import os
import subprocess
import sys

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.file_download import get_hf_file_metadata, http_get

home = sys.argv[1]
api = HfApi()
repo = "me/model-GGUF"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def refused(call, error):
    try:
        call()
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


# Repositories.
assert api.whoami()["name"] == "me"
api.create_repo(repo, private=True)
api.create_repo(repo, exist_ok=True)
refused(lambda: api.create_repo(repo), HfHubHTTPError)
refused(lambda: api.create_repo("other/model"), HfHubHTTPError)
refused(lambda: api.model_info("me/none"), RepositoryNotFoundError)
refused(lambda: api.model_info(repo, token=False), RepositoryNotFoundError)
assert api.model_info(repo).private

# Uploads: in git, in LFS at once and in parts.
small, large = os.urandom(1000), os.urandom(1_234_567)
card = b"---\nlicense: mit\n---\n# A model\n"
first = api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=repo)
api.upload_file(path_or_fileobj=small, path_in_repo="small.gguf", repo_id=repo)
api.upload_file(path_or_fileobj=large, path_in_repo="Q8_0/large.gguf", repo_id=repo)
head = api.model_info(repo).sha
again = api.upload_file(path_or_fileobj=large, path_in_repo="Q8_0/large.gguf", repo_id=repo)
assert again.oid == head, "an unchanged file made a commit"
refused(lambda: api.upload_file(path_or_fileobj=b"late", path_in_repo="x.txt", repo_id=repo, parent_commit=first.oid), HfHubHTTPError)
assert len(api.list_repo_commits(repo)) == 4

# Listings.
tree = {f.path: f for f in api.list_repo_tree(repo, recursive=True) if hasattr(f, "blob_id")}
assert tree["Q8_0/large.gguf"].lfs.sha256 == sha256(large) and tree["Q8_0/large.gguf"].size == len(large)
assert tree["README.md"].lfs is None
assert [f.path for f in api.get_paths_info(repo, ["small.gguf", "none"])] == ["small.gguf"]
assert {f.rfilename for f in api.model_info(repo, files_metadata=True).siblings} == set(tree)
assert api.list_repo_refs(repo).branches[0].target_commit == head

# Downloads: by name, by snapshot, and on from a byte.
with open(hf_hub_download(repo, "Q8_0/large.gguf"), "rb") as f:
    assert f.read() == large
refused(lambda: hf_hub_download(repo, "none.gguf"), EntryNotFoundError)
meta = get_hf_file_metadata(hf_hub_url(repo, "Q8_0/large.gguf"))
assert meta.etag == sha256(large) and meta.size == len(large) and meta.commit_hash == head
with open(home + "/resumed", "w+b") as f:
    f.write(large[:777_777])
    http_get(meta.location, f, resume_size=777_777, expected_size=len(large))
    f.seek(0)
    assert f.read() == large
folder = snapshot_download(repo)
with open(folder + "/README.md", "rb") as f:
    assert f.read() == card

# A commit of several operations.
api.create_commit(repo, [CommitOperationAdd("new.txt", b"new"), CommitOperationDelete("small.gguf")], commit_message="both")
assert sorted(api.list_repo_files(repo)) == [".gitattributes", "Q8_0/large.gguf", "README.md", "new.txt"]


# moeconv and this client on one Hub and one cache.
def moeconv(*args):
    done = subprocess.run([home + "/moeconv", *args, "--progress", "none"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


weights = os.urandom(40_000_000)
source = "me/checkpoint"
api.create_repo(source)
api.create_commit(source, [CommitOperationAdd("config.json", b"{}"), CommitOperationAdd("model.safetensors", weights)], commit_message="all")
both = [subprocess.Popen([home + "/moeconv", "download", source, "--progress", "none"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
theirs = snapshot_download(source)
for p in both:
    assert p.communicate()[0].strip() == theirs and p.returncode == 0
with open(theirs + "/model.safetensors", "rb") as f:
    assert f.read() == weights
assert sorted(os.listdir(theirs)) == [".gitattributes", "config.json", "model.safetensors"]
assert not [f for f in os.listdir(theirs + "/../../blobs") if "." in f]
os.environ["HF_HUB_OFFLINE"] = "1"
assert moeconv("download", source).strip() == theirs
del os.environ["HF_HUB_OFFLINE"]

# A folder downloaded by one is up to date to the other.
moeconv("download", source, "--out", home + "/flat")
before = os.stat(home + "/flat/model.safetensors").st_mtime_ns
snapshot_download(source, local_dir=home + "/flat")
assert os.stat(home + "/flat/model.safetensors").st_mtime_ns == before, "fetched again"

# What moeconv publishes this client reads; sent by this client it is the same, and the other way nothing is left to send.
out, target = home + "/out", "me/tiny-GGUF"
moeconv("hf2gguf", "tiny", "--types", "Q4_K_M", "--out", out)
moeconv("publish", out, "--repo", target)
published = snapshot_download(target)
for name, local in {"tiny-moe-go-Q4_K_M.gguf": "tiny-moe-go-Q4_K_M.gguf", "README.md": "tiny-moe-go.card.md"}.items():
    with open(published + "/" + name, "rb") as a, open(out + "/" + local, "rb") as b:
        assert a.read() == b.read(), name
assert [c.title for c in api.list_repo_commits(target)] == ["Add the model card", "Add Q4_K_M", "initial commit"]
os.environ["PATH"] = os.path.dirname(sys.executable) + ":" + os.environ["PATH"]
moeconv("publish", out, "--repo", "me/other-GGUF", "--transport", "hf")
assert "0 commits, 0 bytes sent" in moeconv("publish", out, "--repo", "me/other-GGUF")
assert api.model_info("me/other-GGUF", files_metadata=True).siblings == api.model_info(target, files_metadata=True).siblings
