/** The most used passwords of 8 characters and more, as lists of leaked ones agree on. Lower case; shorter ones are refused. */
export const commonPasswords: ReadonlySet<string> = new Set(
  `password password1 password12 password123 password1234 passw0rd p@ssw0rd p@ssword pa$$word passwort
  12345678 123456789 1234567890 12345678910 0123456789 0987654321 987654321 87654321 123123123 1234554321
  123454321 12344321 11223344 1122334455 112233445566 123321123 147258369 159357456 741852963 789456123
  qwertyuiop qwerty123 qwerty12 qwerty1234 qwertyui qwerty12345 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qazxsw2
  zaq12wsx qazwsxedc qazwsx123 asdfghjkl asdfghjk asdf1234 asdfasdf zxcvbnm1 zxcvbnm123 qwertz123
  iloveyou iloveyou1 iloveyou2 ilovegod loveyou1 lovelove mylove123 princess princess1 sunshine
  sunshine1 football football1 baseball baseball1 basketball superman superman1 batman123 spiderman
  starwars trustno1 whatever whatever1 michelle jennifer jessica1 michael1 charlie1 jordan23
  welcome1 welcome123 welcome12 letmein1 letmein123 changeme changeme1 changeme123 computer computer1
  internet internet1 samsung1 google123 facebook1 linkedin admin123 admin1234 administrator root1234
  abcd1234 abc12345 abc123456 abcdefgh abcdefghi a1b2c3d4 aa123456 a1234567 a12345678 a123456789
  1234qwer 123qweasd 123qwe123 q1w2e3r4 q1w2e3r4t5 secret123 dragon123 master123 monkey123 shadow123
  test1234 test12345 testtest guest123 default1 temp1234 login123 access14 pokemon1 corvette
  maverick mercedes midnight victoria alexander liverpool chelsea1 arsenal1 blink182 butterfly`.split(/\s+/),
);
