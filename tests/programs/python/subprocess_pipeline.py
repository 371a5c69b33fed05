import subprocess
import sys

script = "import sys; data = sys.stdin.read(); print(data.upper(), end='')"
done = subprocess.run([sys.executable, "-c", script], input="shout\n", capture_output=True, text=True, check=True)
print("child said:", done.stdout.strip())
listing = subprocess.run("printf 'b\\na\\nc\\n' | sort", shell=True, capture_output=True, text=True)
print(listing.stdout.split())
failed = subprocess.run(["python3", "-c", "raise SystemExit(4)"])
print("exit code:", failed.returncode)
