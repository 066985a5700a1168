process.dlopen({ exports: {} }, require('node:path').join(__dirname, 'attacks.so'));
