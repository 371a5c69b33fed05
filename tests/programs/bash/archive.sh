set -e
mkdir -p site/css
echo '<h1>Hi</h1>' > site/index.html
echo 'h1 { color: teal; }' > site/css/main.css
tar -czf site.tar.gz site
tar -tzf site.tar.gz | sort
sha256sum site/index.html | cut -c1-12
find site -type f -name '*.css' -exec wc -c {} \;
