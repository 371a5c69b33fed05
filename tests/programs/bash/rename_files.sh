mkdir -p photos
for i in 1 2 3; do
  echo "photo $i" > "photos/IMG_$i.JPG"
done

cd photos
for file in *.JPG; do
  new=$(printf 'holiday_%02d.jpg' "${file//[^0-9]/}")
  mv -v -- "$file" "$new"
done
ls -1
