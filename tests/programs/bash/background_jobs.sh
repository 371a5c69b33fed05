work() { sleep "0.$1"; echo "job $1 done" > "job$1.txt"; }

for n in 1 2 3; do
  work "$n" &
done
wait
cat job1.txt job2.txt job3.txt
echo "all jobs are over"
