import sqlite3

connection = sqlite3.connect(":memory:")
connection.row_factory = sqlite3.Row
connection.executescript(
    """
    CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, year INTEGER, author_id INTEGER REFERENCES authors(id));
    INSERT INTO authors (name) VALUES ('Ursula K. Le Guin'), ('Stanisław Lem');
    INSERT INTO books (title, year, author_id) VALUES
        ('The Dispossessed', 1974, 1), ('The Left Hand of Darkness', 1969, 1), ('Solaris', 1961, 2);
    """
)
query = """
    SELECT authors.name, COUNT(*) AS books, MIN(year) AS first
    FROM authors JOIN books ON books.author_id = authors.id
    GROUP BY authors.id ORDER BY books DESC
"""
for row in connection.execute(query):
    print(f"{row['name']}: {row['books']} book(s), first in {row['first']}")
connection.close()
