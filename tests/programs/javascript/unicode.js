const text = 'naïve café — 日本語 🐢👩‍🔬';
console.log(text);
console.log('UTF-16 units:', '🐢'.length, 'code points:', [...'🐢'].length);
console.log([...text].reverse().join('').slice(0, 3).length > 0);
console.log('ß'.toUpperCase(), 'İ'.toLowerCase().length, 'e\u0301'.normalize('NFC') === 'é');
console.log(['zebra', 'äpfel', 'apple'].sort((a, b) => a.localeCompare(b, 'de')).join(' '));
console.log(encodeURIComponent('ü&🐢'));
